import assert from "node:assert/strict";
import { test } from "node:test";

import { pairOf } from "../../web/runs/sample_pair.mjs";

const ROW = [{ epoch: 0 }, { epoch: 1 }, { epoch: 2 }];

test("an epoch is shown against the base model", () => assert.deepEqual(pairOf(ROW, ROW[1]), [0, 1]));
test("the base model is shown against the last epoch", () => assert.deepEqual(pairOf(ROW, ROW[0]), [0, 2]));
test("a sample alone is shown against itself", () => assert.deepEqual(pairOf([ROW[1]], ROW[1]), [0, 0]));
