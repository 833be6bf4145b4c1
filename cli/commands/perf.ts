/** `viaduct perf`: how fast a way to a node is, beside the bare socket where both ends are here. @module */

import { spawn } from "node:child_process";
import process from "node:process";
import type { Node, Peer } from "../../adapters/api/types.ts";
import { ViaductError } from "../../core/error.ts";
import { measureBareUdp, serveBareUdp } from "../bare_udp.ts";
import type { Command, CommandContext } from "../command.ts";
import { startNode, UsageError, untilInterrupted, untilReady } from "../command.ts";
import { TRACE_OPTION, TRACE_USAGE, traceFileOf } from "../trace_file.ts";

const PROTOCOL = "perf/1";
const REQUEST = "perf";
const CHUNK_BYTES = 64 * 1024;
const REQUEST_BYTES = 64;
const REQUESTS = 2_000;
const PAYLOAD_BYTES = 1200;

export const perfCommand: Command = {
  summary: "measure goodput, round trips and loss of a way to a node",
  usage: `viaduct perf [TARGET | ADDRESS] [--seconds N] [--bytes N] [--trace FILE]
viaduct perf --serve --listen ADDRESS

TARGET is the ticket of a node that runs \`viaduct perf --serve\`. An ADDRESS with port 0, such as
udp://127.0.0.1:0 (the default), starts such a node as a second process on this machine and, for udp,
measures the bare socket beside it.

  --seconds N       how long to send (3)
  --bytes N         the largest datagram to try (1452)
  --serve           be the other end
${TRACE_USAGE}; it costs speed`,
  options: { seconds: { type: "string" }, bytes: { type: "string" }, serve: { type: "boolean" }, ...TRACE_OPTION },
  async run(context) {
    const { positionals, flags, terminal } = context;
    if (flags.serve === true) {
      if (flags.trace !== undefined) throw new UsageError("--trace is for the side that measures");
      await serve(context);
      return;
    }
    const seconds = Number(flags.seconds ?? 3);
    if (!(seconds > 0 && seconds <= 600)) throw new UsageError("--seconds must be above 0 and at most 600");
    const target = positionals[0] ?? "udp://127.0.0.1:0";
    if (!/^(udp|tcp|ws):\/\/.*:0$/.test(target)) {
      await measure(context, target, seconds, undefined);
      return;
    }
    const other = await startOther(target, String(flags.bytes ?? 1452));
    try {
      const bare = target.startsWith("udp://")
        ? await measureBareUdp(other.barePort, PAYLOAD_BYTES, seconds)
        : undefined;
      await measure(context, other.ticket, seconds, bare);
    } finally {
      other.stop();
    }
    terminal.note("Both ends share this machine.");
  },
};

function nodeOptions({ flags }: CommandContext): { paths: { datagramBytesMax: number } } {
  const bytes = Number(flags.bytes ?? 1452);
  if (!Number.isInteger(bytes) || bytes < 548 || bytes > 65_000) {
    throw new UsageError("--bytes must be a whole number from 548 to 65000");
  }
  return { paths: { datagramBytesMax: bytes } };
}

/** The other end: takes what comes, answers requests, and echoes bare datagrams for comparison. */
async function serve(context: CommandContext): Promise<void> {
  await using node: Node = await startNode(context, nodeOptions(context));
  node.respond(REQUEST, (value) => value);
  node.handle(PROTOCOL, async (stream) => {
    while ((await stream.read()) !== undefined);
    await stream.finish();
  });
  await untilReady(node, context);
  const bare = await serveBareUdp();
  const ticket = node.ticket();
  context.terminal.result(ticket, { ticket, barePort: bare.port });
  await untilInterrupted(context.signal);
  bare.close();
}

interface OtherEnd {
  readonly ticket: string;
  readonly barePort: number;
  stop(): void;
}

/** Starts this command a second time as the other end. */
function startOther(address: string, bytes: string): Promise<OtherEnd> {
  const args = ["perf", "--serve", "--json", "--anonymous", "--listen", address, "--bytes", bytes];
  const own = [...process.execArgv, process.argv[1] as string, ...args];
  const child = spawn(process.execPath, own, { stdio: ["ignore", "pipe", "inherit"] });
  return new Promise((resolve, reject) => {
    let text = "";
    child.stdout.setEncoding("utf8").on("data", (part: string) => {
      text += part;
      const end = text.indexOf("\n");
      if (end < 0) return;
      const { ticket, barePort } = JSON.parse(text.slice(0, end)) as { ticket: string; barePort: number };
      resolve({ ticket, barePort, stop: () => child.kill("SIGTERM") });
    });
    child.on("error", reject);
    child.on("exit", (code) =>
      reject(new ViaductError("dial_failed", { detail: `The other end exited with ${code}` })),
    );
  });
}

interface Bare {
  readonly bytesPerSecond: number;
  readonly requestsPerSecond: number;
}

async function measure(
  context: CommandContext,
  target: string,
  seconds: number,
  bare: Bare | undefined,
): Promise<void> {
  const { settings, terminal, signal } = context;
  using trace = traceFileOf(context);
  await using node = await startNode(context, { ...nodeOptions(context), ...trace?.nodeOptions });
  const peer = await node.connect(target, { signal, timeoutMs: settings.timeoutMs });
  trace?.keep(peer.id);
  const times = await roundTrips(peer, signal);
  const bytesPerSecond = await goodput(peer, seconds, signal);
  const stats = peer.stats();
  const [path] = stats.paths;
  const middle = times[Math.floor(times.length / 2)] as number;
  const late = times[Math.floor(times.length * 0.99)] as number;
  const requestsPerSecond = 1000 / (times.reduce((sum, time) => sum + time, 0) / times.length);
  const mebibytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MiB/s`;
  const lost = path?.packagesLost ?? 0;
  const loss = path === undefined || path.packagesSent === 0 ? 0 : lost / path.packagesSent;
  terminal.result(
    [
      `path         ${path?.remote} (${path?.kind}), packages of ${path?.packageBytesMax ?? "up to 65536"} bytes`,
      `goodput      ${mebibytes(bytesPerSecond)}${ratio(bytesPerSecond, bare?.bytesPerSecond, "bare node:dgram at 1200 bytes")}`,
      `requests     ${requestsPerSecond.toFixed(0)}/s one at a time${ratio(requestsPerSecond, bare?.requestsPerSecond, "a bare echo")}`,
      `round trip   ${middle.toFixed(3)} ms median, ${late.toFixed(3)} ms at 99 %`,
      `loss         ${(100 * loss).toFixed(2)} % (${lost} of ${path?.packagesSent ?? 0} packages)`,
    ].join("\n"),
    {
      remote: path?.remote,
      kind: path?.kind,
      packageBytesMax: path?.packageBytesMax,
      bytesPerSecond,
      requestsPerSecond,
      rttMedianMs: middle,
      rtt99Ms: late,
      loss,
      ...(bare === undefined
        ? {}
        : {
            goodputOfBare: bytesPerSecond / bare.bytesPerSecond,
            requestsOfBare: requestsPerSecond / bare.requestsPerSecond,
          }),
    },
  );
  await peer.close();
}

function ratio(figure: number, bare: number | undefined, name: string): string {
  return bare === undefined || bare === 0 ? "" : `, ${(figure / bare).toFixed(2)} of ${name}`;
}

/** The times of requests one after another, ascending. */
async function roundTrips(peer: Peer, signal: AbortSignal): Promise<number[]> {
  const bytes = new Uint8Array(REQUEST_BYTES);
  const times: number[] = [];
  for (let index = 0; index < REQUESTS; index++) {
    const began = performance.now();
    await peer.request(REQUEST, bytes, { signal });
    times.push(performance.now() - began);
  }
  return times.sort((left, right) => left - right);
}

async function goodput(peer: Peer, seconds: number, signal: AbortSignal): Promise<number> {
  const stream = await peer.open(PROTOCOL, { signal });
  const chunk = new Uint8Array(CHUNK_BYTES);
  const began = performance.now();
  const until = began + seconds * 1000;
  let bytes = 0;
  while (performance.now() < until) {
    signal.throwIfAborted();
    await stream.write(chunk);
    bytes += chunk.length;
  }
  await stream.finish();
  while ((await stream.read()) !== undefined);
  return bytes / ((performance.now() - began) / 1000);
}
