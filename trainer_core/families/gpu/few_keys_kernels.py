"""The kernels of attention to few keys. A program takes a head's keys, as two tiles if they are more than KEYS, and a
span of its queries. Scores of the gradients have queries last: as they are, they are multiplied with queries."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def attend(answer, query, key, value, scale, queries, keys, span, q_picture, q_token, k_picture, k_token, v_picture,
           v_token, WIDTH: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr, REST: tl.constexpr,
           COLUMNS: tl.constexpr):  # fmt: skip
    """Answers (B, Q, N, D)."""
    start, token = tl.program_id(1) * span, tl.num_programs(0) * WIDTH
    answer += _head(queries * token, WIDTH)
    query += _head(q_picture, WIDTH)
    key += _head(k_picture, WIDTH)
    value += _head(v_picture, WIDTH)
    k = _tile(key, 0, keys, k_token, WIDTH, KEYS, COLUMNS)
    v = _tile(value, 0, keys, v_token, WIDTH, KEYS, COLUMNS)
    if REST:
        rest_k = _tile(key, KEYS, keys, k_token, WIDTH, REST, COLUMNS)
        rest_v = _tile(value, KEYS, keys, v_token, WIDTH, REST, COLUMNS)
    for row in range(start, tl.minimum(start + span, queries), ROWS):
        q = _tile(query, row, queries, q_token, WIDTH, ROWS, COLUMNS)
        scores = _scores(q, k, scale, 0, keys, KEYS, 1)
        most = tl.max(scores, 1, keep_dims=True)
        if REST:
            rest_scores = _scores(q, rest_k, scale, KEYS, keys, REST, 1)
            most = tl.maximum(most, tl.max(rest_scores, 1, keep_dims=True))
        weights = tl.exp2(scores - most)
        total = tl.sum(weights, 1, keep_dims=True)
        found = tl.dot(weights.to(q.dtype), v, input_precision="ieee")
        if REST:
            rest = tl.exp2(rest_scores - most)
            total += tl.sum(rest, 1, keep_dims=True)
            found = tl.dot(rest.to(q.dtype), rest_v, found, input_precision="ieee")
        place, is_in = _places(row, queries, token, WIDTH, ROWS, COLUMNS)
        tl.store(answer + place, (found / total).to(answer.dtype.element_ty), mask=is_in)


@triton.jit
def gradients(of_query, of_key, of_value, gradient, query, key, value, scale, queries, keys, span, q_picture, q_token,
              k_picture, k_token, v_picture, v_token, WIDTH: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr,
              REST: tl.constexpr, COLUMNS: tl.constexpr):  # fmt: skip
    """Those of queries (B, Q, N, D), and of keys and values what comes of each span (S, B, L, N, D)."""
    start, token = tl.program_id(1) * span, tl.num_programs(0) * WIDTH
    of_query += _head(queries * token, WIDTH)
    gradient += _head(queries * token, WIDTH)
    query += _head(q_picture, WIDTH)
    key += _head(k_picture, WIDTH)
    value += _head(v_picture, WIDTH)
    k = _tile(key, 0, keys, k_token, WIDTH, KEYS, COLUMNS)
    v = _tile(value, 0, keys, v_token, WIDTH, KEYS, COLUMNS)
    key_sum = tl.zeros([KEYS, COLUMNS], tl.float32)
    value_sum = tl.zeros([KEYS, COLUMNS], tl.float32)
    if REST:
        rest_k = _tile(key, KEYS, keys, k_token, WIDTH, REST, COLUMNS)
        rest_v = _tile(value, KEYS, keys, v_token, WIDTH, REST, COLUMNS)
        rest_key_sum = tl.zeros([REST, COLUMNS], tl.float32)
        rest_value_sum = tl.zeros([REST, COLUMNS], tl.float32)
    for row in range(start, tl.minimum(start + span, queries), ROWS):
        q = _tile(query, row, queries, q_token, WIDTH, ROWS, COLUMNS)
        g = _tile(gradient, row, queries, token, WIDTH, ROWS, COLUMNS)
        scores = _scores(k, q, scale, 0, keys, KEYS, 0)
        most = tl.max(scores, 0, keep_dims=True)
        if REST:
            rest_scores = _scores(rest_k, q, scale, KEYS, keys, REST, 0)
            most = tl.maximum(most, tl.max(rest_scores, 0, keep_dims=True))
        weights = tl.exp2(scores - most)
        of_weights = tl.dot(v, tl.trans(g), input_precision="ieee")
        total = tl.sum(weights, 0, keep_dims=True)
        along = tl.sum(weights * of_weights, 0, keep_dims=True)
        if REST:
            rest = tl.exp2(rest_scores - most)
            of_rest = tl.dot(rest_v, tl.trans(g), input_precision="ieee")
            total += tl.sum(rest, 0, keep_dims=True)
            along += tl.sum(rest * of_rest, 0, keep_dims=True)
        along = along / total
        weights = weights / total
        value_sum = tl.dot(weights.to(q.dtype), g, value_sum, input_precision="ieee")
        of_scores = (weights * (of_weights - along)).to(q.dtype)
        key_sum = tl.dot(of_scores, q, key_sum, input_precision="ieee")
        found = tl.dot(tl.trans(of_scores), k, input_precision="ieee")
        if REST:
            rest = rest / total
            rest_value_sum = tl.dot(rest.to(q.dtype), g, rest_value_sum, input_precision="ieee")
            of_rest = (rest * (of_rest - along)).to(q.dtype)
            rest_key_sum = tl.dot(of_rest, q, rest_key_sum, input_precision="ieee")
            found = tl.dot(tl.trans(of_rest), rest_k, found, input_precision="ieee")
        place, is_in = _places(row, queries, token, WIDTH, ROWS, COLUMNS)
        tl.store(of_query + place, (found * scale).to(of_query.dtype.element_ty), mask=is_in)
    span_start = tl.program_id(1).to(tl.int64) * tl.num_programs(2) * keys * token
    of_key += span_start + _head(keys * token, WIDTH)
    of_value += span_start + _head(keys * token, WIDTH)
    place, is_in = _places(0, keys, token, WIDTH, KEYS, COLUMNS)
    tl.store(of_key + place, (key_sum * scale).to(of_key.dtype.element_ty), mask=is_in)
    tl.store(of_value + place, value_sum.to(of_value.dtype.element_ty), mask=is_in)
    if REST:
        place, is_in = _places(KEYS, keys, token, WIDTH, REST, COLUMNS)
        tl.store(of_key + place, (rest_key_sum * scale).to(of_key.dtype.element_ty), mask=is_in)
        tl.store(of_value + place, rest_value_sum.to(of_value.dtype.element_ty), mask=is_in)


@triton.jit
def add_up(answer, parts, spans, count, PLACES: tl.constexpr):
    """Sums (2, count) of parts (2, S, count)."""
    place, which = tl.program_id(0) * PLACES + tl.arange(0, PLACES), tl.program_id(1).to(tl.int64)
    parts += which * spans * count + place
    total = tl.zeros([PLACES], tl.float32)
    for _ in range(0, spans):
        total += tl.load(parts, mask=place < count, other=0.0)
        parts += count
    tl.store(answer + which * count + place, total.to(answer.dtype.element_ty), mask=place < count)


@triton.jit
def _scores(x, y, scale, first, keys, KEYS: tl.constexpr, AXIS: tl.constexpr):
    """Of some keys for each query, as powers of 2. `AXIS` is that of the keys."""
    scores = tl.dot(x, tl.trans(y), input_precision="ieee") * (scale * 1.4426950408889634)
    return tl.where(tl.expand_dims(first + tl.arange(0, KEYS) < keys, 1 - AXIS), scores, float("-inf"))


@triton.jit
def _head(of_picture, WIDTH: tl.constexpr):
    """Where this program's head begins."""
    return tl.program_id(2).to(tl.int64) * of_picture + tl.program_id(0) * WIDTH


@triton.jit
def _tile(tensor, first, tokens, token, WIDTH: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """Some tokens of a head, 0 where there are none."""
    place, is_in = _places(first, tokens, token, WIDTH, ROWS, COLUMNS)
    return tl.load(tensor + place, mask=is_in, other=0.0)


@triton.jit
def _places(first, tokens, token, WIDTH: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """Where they lie in it, `token` apart, and whether they are there."""
    row, column = first + tl.arange(0, ROWS), tl.arange(0, COLUMNS)
    return row[:, None] * token + column[None, :], (row < tokens)[:, None] & (column < WIDTH)[None, :]
