/**
 * Compiles `adapters/crypto/assembly/` with AssemblyScript into the file that carries it, as base64: that file is
 * committed, so that neither the package nor a clone needs the compiler to run.
 *
 *   --check    writes nothing; fails when the file is not what the source gives
 *
 * @module
 */

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import asc from "assemblyscript/asc";
import { ROOT } from "./setup.mjs";

const FOLDER = "adapters/crypto";
const SOURCE = `${FOLDER}/assembly/chacha20_poly1305.ts`;
const TARGET = join(ROOT, FOLDER, "chacha20_poly1305_wasm.ts");
// What Chromium before 117 compiles at once on a page's main thread.
const WASM_BYTES_MAX = 4096;

const wasm = await compile();
if (wasm.length > WASM_BYTES_MAX) fail(`${wasm.length} bytes of WebAssembly are more than ${WASM_BYTES_MAX}`);
const text = `/**
 * Generated from \`${SOURCE}\` by \`tools/build_wasm.mjs\`: change that, not this.
 *
 * @module
 */

/** ChaCha20-Poly1305 as a WebAssembly module of ${wasm.length} bytes, in base64. */
export const CHACHA20_POLY1305_WASM: string =
  "${Buffer.from(wasm).toString("base64")}";
`;
if (!process.argv.includes("--check")) {
  writeFileSync(TARGET, text);
  process.stdout.write(`${wasm.length} bytes of WebAssembly\n`);
} else if (readFileSync(TARGET, "utf8") !== text) {
  fail(`${FOLDER}/chacha20_poly1305_wasm.ts is not what the source gives: run node tools/build_wasm.mjs`);
}

async function compile() {
  let bytes;
  const { error, stderr } = await asc.main(
    [
      SOURCE,
      ...["--outFile", "out.wasm", "--optimizeLevel", "3", "--runtime", "stub", "--noAssert", "--use", "abort="],
      ...["--enable", "simd", "--initialMemory", "3", "--maximumMemory", "3"],
    ],
    {
      readFile: (name) => {
        try {
          return readFileSync(join(ROOT, name), "utf8");
        } catch {
          return null;
        }
      },
      writeFile: (name, data) => {
        if (name === "out.wasm") bytes = data;
      },
      listFiles: () => [],
    },
  );
  if (error !== null || bytes === undefined) fail(`${stderr}${error ?? ""}`);
  return bytes;
}

function fail(problem) {
  process.stdout.write(`${problem}\n`);
  process.exit(1);
}
