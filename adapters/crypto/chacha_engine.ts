/**
 * The one instance of the WebAssembly ChaCha20-Poly1305 of this realm, made when it is first asked for.
 *
 * The invariant to hold: memory holds no key, ever: keys go in as parameters, and what is derived from them is wiped
 * before the call returns. Memory does hold the text of the last call until the next one overwrites it.
 *
 * @module
 */

import { CHACHA20_POLY1305_WASM } from "./chacha20_poly1305_wasm.ts";

/** What the module exports. `adapters/crypto/assembly/chacha20_poly1305.ts` */
interface ChachaExports {
  readonly memory: { readonly buffer: ArrayBuffer };
  readonly ASSOCIATED_AT: { readonly value: number };
  readonly ASSOCIATED_BYTES_MAX: { readonly value: number };
  readonly INPUT_AT: { readonly value: number };
  readonly OUTPUT_AT: { readonly value: number };
  readonly TEXT_BYTES_MAX: { readonly value: number };
  readonly run: ChachaRun;
}

/** Seals (`isOpening` is 0) or opens the input; returns 0 unless the tag is wrong. */
type ChachaRun = (
  isOpening: number,
  associatedLength: number,
  length: number,
  key0: number,
  key1: number,
  key2: number,
  key3: number,
  key4: number,
  key5: number,
  key6: number,
  key7: number,
  nonce0: number,
  nonce1: number,
  nonce2: number,
) => number;

/** The instance with its places, read once. */
export interface ChachaEngine {
  readonly memory: Uint8Array;
  readonly associatedAt: number;
  readonly associatedBytesMax: number;
  readonly inputAt: number;
  readonly outputAt: number;
  readonly textBytesMax: number;
  readonly run: ChachaRun;
}

/** What of `WebAssembly` is needed; `undefined` in a host that has none. */
export type WasmHost = Pick<typeof WebAssembly, "Module" | "Instance"> | undefined;

let engine: ChachaEngine | undefined;
let isTried = false;

/** The instance of this realm, or `undefined` where there can be none. */
export function chachaEngine(): ChachaEngine | undefined {
  if (!isTried) {
    isTried = true;
    engine = makeChachaEngine((globalThis as { WebAssembly?: typeof WebAssembly }).WebAssembly);
  }
  return engine;
}

/**
 * A new instance, or `undefined` where there can be none: a host without vectors (WebAssembly SIMD), a page whose
 * content security policy lacks `wasm-unsafe-eval`, an address space too small, or an engine that computes something
 * else. The module has less than 4 KiB: older browsers compile no more at once on a page's main thread.
 */
export function makeChachaEngine(host: WasmHost): ChachaEngine | undefined {
  if (host === undefined) return undefined;
  try {
    const made = instantiate(host);
    return isRight(made) ? made : undefined;
  } catch {
    return undefined;
  }
}

function instantiate(host: NonNullable<WasmHost>): ChachaEngine {
  const instance = new host.Instance(new host.Module(decodeBase64(CHACHA20_POLY1305_WASM)));
  const exported = instance.exports as unknown as ChachaExports;
  return {
    memory: new Uint8Array(exported.memory.buffer),
    associatedAt: exported.ASSOCIATED_AT.value,
    associatedBytesMax: exported.ASSOCIATED_BYTES_MAX.value,
    inputAt: exported.INPUT_AT.value,
    outputAt: exported.OUTPUT_AT.value,
    textBytesMax: exported.TEXT_BYTES_MAX.value,
    run: exported.run,
  };
}

/** By hand: `Uint8Array.from` calls back for every byte, which takes a millisecond and more in code that runs once. */
function decodeBase64(text: string): Uint8Array<ArrayBuffer> {
  const letters = atob(text);
  const bytes = new Uint8Array(letters.length);
  for (let at = 0; at < bytes.length; at++) bytes[at] = letters.charCodeAt(at);
  return bytes;
}

/** Zeros for key, nonce and text, enough for every loop to run; the tag is of all the ciphertext. */
const CHECK_BYTES = 600;
/** The first word of that tag, by another implementation. */
const CHECK_TAG = 254218099;

/** An engine whose vectors compute wrongly would be understood by nobody: better to find out here. */
function isRight({ run, memory, outputAt }: ChachaEngine): boolean {
  run(0, 0, CHECK_BYTES, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
  return new DataView(memory.buffer).getInt32(outputAt + CHECK_BYTES, true) === CHECK_TAG;
}
