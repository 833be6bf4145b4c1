/**
 * `node tools/draw_trace.ts FILE.sqlog > FILE.svg`: draws what a trace tells of a path.
 *
 *   --path NAME   that path, as the trace names it (`path 2`); the busiest one unless told
 *   --example     no file: a session in the simulator, as docs/session_trace.svg shows it
 *
 * @module
 */

import { readFileSync } from "node:fs";
import process from "node:process";
import { parseArgs } from "node:util";
import { qlogTrace } from "../adapters/trace/mod.ts";
import { dangerousSimEnvironments } from "../sim/environment.ts";
import { connectPair, datagramPair, INTEROP_LINK, transfer } from "../test/sim/datagram_pair.ts";
import { drawTrace, readTrace } from "./trace_picture.ts";

const EXAMPLE_BYTES = 6_000_000;
const EXAMPLE_TITLE = "A transfer over 10 Mbit/s, 30 ms, a queue of 25 packages; nothing arrives for a second";
/** Since the transfer began. */
const [DARK_FROM_MS, DARK_TO_MS] = [2_500, 3_500];

const { values, positionals } = parseArgs({
  options: { path: { type: "string" }, example: { type: "boolean" } },
  allowPositionals: true,
});
const [file] = positionals;
if (values.example !== true && file === undefined) {
  process.stderr.write("Which trace? node tools/draw_trace.ts FILE.sqlog > FILE.svg\n");
  process.exitCode = 2;
} else {
  const text = values.example === true ? await exampleTrace() : readFileSync(file as string, "utf8");
  process.stdout.write(drawTrace(readTrace(text, values.path)));
}

/** The link of the QUIC interop runner, which goes dark once. */
async function exampleTrace(): Promise<string> {
  const records: string[] = [];
  const client = qlogTrace(() => ({ write: (record) => records.push(record) }), { title: EXAMPLE_TITLE });
  const pair = datagramPair(1, await dangerousSimEnvironments(), { link: INTEROP_LINK, trace: { client } });
  const { network } = pair;
  if (!connectPair(pair)) throw new Error("The example found no way");
  network.plan(network.now + DARK_FROM_MS, () => network.datagrams.setAllDown(true));
  network.plan(network.now + DARK_TO_MS, () => network.datagrams.setAllDown(false));
  if (transfer(pair, EXAMPLE_BYTES, 60_000) === undefined) throw new Error("The example did not arrive");
  return records.join("");
}
