/**
 * Where the WebAssembly of ChaCha20-Poly1305 cannot be, or computes something else, it is not used.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { chachaEngine, makeChachaEngine, type WasmHost } from "../../../adapters/crypto/chacha_engine.ts";

const { Instance, Module } = WebAssembly;

test("chachaEngine: is there in this runtime, and is one", () => {
  assert.notEqual(chachaEngine(), undefined);
  assert.equal(chachaEngine(), chachaEngine());
});

test("makeChachaEngine: gives none without WebAssembly", () => {
  assert.equal(makeChachaEngine(undefined), undefined);
});

test("makeChachaEngine: gives none where a page's policy forbids compiling, or there is no memory", () => {
  const refuse = (error: Error) => (): never => {
    throw error;
  };
  const forbidden = refuse(new WebAssembly.CompileError("Wasm code generation disallowed by embedder"));
  assert.equal(makeChachaEngine({ Module: forbidden, Instance } as unknown as WasmHost), undefined);
  const full = refuse(new RangeError("Out of memory: Cannot allocate Wasm memory for new instance"));
  assert.equal(makeChachaEngine({ Module, Instance: full } as unknown as WasmHost), undefined);
});

test("makeChachaEngine: gives none when it computes something else", () => {
  function disturbed(change: (words: number[]) => number[]): WasmHost {
    function Disturbed(module: WebAssembly.Module): { exports: object } {
      const { exports } = new Instance(module);
      const run = exports.run as (...words: number[]) => number;
      return { exports: { ...exports, run: (...words: number[]): number => run(...change(words)) } };
    }
    return { Module, Instance: Disturbed } as unknown as WasmHost;
  }
  assert.notEqual(makeChachaEngine(disturbed((words) => words)), undefined);
  assert.equal(makeChachaEngine(disturbed((words) => words.with(10, 1))), undefined);
});
