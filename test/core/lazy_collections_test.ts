/**
 * The map and the set that are made with their first entry, against those of the engine.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { LazyMap, LazySet } from "../../core/lazy_collections.ts";

const step = fc.record({
  act: fc.constantFrom("put", "put", "put", "delete", "clear"),
  key: fc.integer({ min: 0, max: 5 }),
  value: fc.integer(),
});

test("lazy collections: any steps leave the map as the engine's own", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const lazy = new LazyMap<number, number>();
      const model = new Map<number, number>();
      for (const { act, key, value } of steps) {
        if (act === "put") {
          lazy.set(key, value);
          model.set(key, value);
        } else if (act === "delete") assert.equal(lazy.delete(key), model.delete(key));
        else {
          lazy.clear();
          model.clear();
        }
        assert.equal(lazy.size, model.size);
        assert.equal(lazy.get(key), model.get(key));
        assert.equal(lazy.has(key), model.has(key));
        assert.deepEqual([...lazy.keys()], [...model.keys()]);
        assert.deepEqual([...lazy.values()], [...model.values()]);
      }
    }),
    { seed: 11, numRuns: 200 },
  );
});

test("lazy collections: any steps leave the set as the engine's own", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const lazy = new LazySet<number>();
      const model = new Set<number>();
      for (const { act, key } of steps) {
        if (act === "put") {
          lazy.add(key);
          model.add(key);
        } else if (act === "delete") assert.equal(lazy.delete(key), model.delete(key));
        else {
          lazy.clear();
          model.clear();
        }
        assert.equal(lazy.size, model.size);
        assert.equal(lazy.has(key), model.has(key));
        assert.deepEqual([...lazy], [...model]);
      }
    }),
    { seed: 12, numRuns: 200 },
  );
});

test("lazy collections: what is deleted while it is gone through is not seen, and nothing is lost", () => {
  const set = new LazySet<number>();
  for (const value of [1, 2, 3]) set.add(value);
  const seen: number[] = [];
  for (const value of set) {
    seen.push(value);
    set.delete(value);
    if (value === 1) set.delete(2);
  }
  assert.deepEqual(seen, [1, 3]);
  assert.equal(set.size, 0);
});
