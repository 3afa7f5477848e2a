import assert from "node:assert/strict";
import { test } from "node:test";

import { parseQuery, QueryError, withTag } from "../../web/tag_editor/query.mjs";

const PICTURES = {
  a: ["straw hat", "smile", "long hair"],
  b: ["hat", "looking at viewer"],
  c: ["hat", "outdoors", "saber (fate)"],
  d: ["that", "白色背景", ":)"],
  e: [],
};

/** @param {string} query */
function found(query) {
  const matches = parseQuery(query);
  const names = Object.keys(PICTURES);
  return names
    .filter((name) => matches({ tags: new Set(PICTURES[name]), name: `img_${name}.png`, isEdited: name === "b" }))
    .join("");
}

for (const [query, pictures, why] of [
  ["", "abcde", "nothing asked finds all"],
  ["hat", "abc", "a word is found within tags, as a whole word"],
  ["HAT", "abc", "case does not matter"],
  ['"hat"', "bc", "quotes ask for the whole tag"],
  ["long_hair", "a", "_ is a space"],
  ["hat smile", "a", "a space means and"],
  ["hat and smile", "a", "and"],
  ["smile or outdoors", "ac", "or"],
  ["not hat", "de", "not"],
  ["not not hat", "abc", "not twice"],
  ['hat and not (smile or "looking at viewer")', "c", "brackets"],
  ["smile or hat outdoors", "ac", "and binds tighter than or"],
  ["not smile or smile", "abcde", "not binds tighter than or"],
  ["(smile)", "a", "needless brackets"],
  ["*hat", "abcd", "* at the start"],
  ["h*t", "bc", "* in the middle, over the whole tag"],
  ['"look*"', "b", "* in quotes"],
  ['"saber (fate)"', "c", "brackets in quotes are part of the tag"],
  ['"saber \\(fate\\)"', "c", "backslashes do not matter"],
  ["背景", "d", "Chinese words are found within longer ones"],
  ['":)"', "d", "a smiley in quotes"],
  ["is:edited", "b", "edited pictures"],
  ["is:empty", "e", "pictures without tags"],
  ["not is:empty", "abcd", "pictures with tags"],
  ["file:*_c.png", "c", "file names"],
  ["AND:", "", "words that only begin like and"],
]) {
  test(`${why}: ${query}`, () => assert.equal(found(query), pictures));
}

for (const [query, key, at] of [
  ['"hat', "query.unclosedQuote", "hat"],
  ["(hat", "query.unclosedBracket", "("],
  ["hat)", "query.strayBracket", ")"],
  ["hat and", "query.missingTerm", ""],
  ["or hat", "query.missingTerm", "or"],
  ["not", "query.missingTerm", ""],
  ["()", "query.missingTerm", ")"],
  ["hat or or smile", "query.missingTerm", "or"],
  ["is:nice", "query.unknownQuestion", "is:nice"],
]) {
  test(`${query} is told: ${key}`, () => {
    const isTold = (problem) => problem instanceof QueryError && problem.key === key && problem.at === at;
    assert.throws(() => parseQuery(query), isTold);
  });
}

for (const [query, tag, isExcluded, result, why] of [
  ["", "hat", false, '"hat"', "the first condition"],
  ["", "hat", true, 'not "hat"', "excluded"],
  ['"hat"', "smile", false, '"hat" and "smile"', "one more"],
  ['"hat" and "smile"', "hat", false, '"smile"', "the same again takes it away"],
  ['not "hat"', "hat", true, "", "excluding again takes it away"],
  ['not "hat"', "hat", false, '"hat"', "including replaces excluding"],
  ['"hat" and "smile"', "hat", true, '"smile" and not "hat"', "excluding replaces including"],
  ["a or b", "hat", false, '(a or b) and "hat"', "or is put in brackets"],
  ["long hair", "hat", false, 'long and hair and "hat"', "words stay"],
  ['(a or b) and "hat"', "hat", false, "(a or b)", "a condition beside brackets is taken away"],
  ['not (a b) c', "hat", false, 'not (a b) and c and "hat"', "brackets are one condition"],
  ['say"', "hat", false, '"hat"', "a query that cannot be read is replaced"],
  ["", 'a "b" c', false, '"a \\"b\\" c"', "quotes in a tag"],
]) {
  test(`${why}: "${query}" with ${isExcluded ? "not " : ""}${tag}`, () => {
    assert.equal(withTag(query, tag, isExcluded), result);
    if (result !== "") parseQuery(result);
  });
}

test("a tag with quotes in it is found", () => {
  const matches = parseQuery(withTag("", 'a "b" c', false));
  assert.ok(matches({ tags: new Set(['a "b" c']), name: "", isEdited: false }));
});
