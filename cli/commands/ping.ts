/** `viaduct ping TARGET`: measures round trips and tells the path. @module */

import type { Command } from "../command.ts";
import { startNode, UsageError } from "../command.ts";
import { TRACE_OPTION, TRACE_USAGE, traceFileOf } from "../trace_file.ts";

const INTERVAL_MS = 1000;

export const pingCommand: Command = {
  summary: "measure the round trip to a node and tell the path",
  usage: `viaduct ping TARGET [--count N] [--trace FILE]

TARGET is a ticket, a node id, a name at a relay, or an address.

  --count N         how many times (4)
${TRACE_USAGE}`,
  options: { count: { type: "string", short: "c" }, ...TRACE_OPTION },
  async run(context) {
    const { positionals, flags, settings, terminal, signal } = context;
    const [target] = positionals;
    if (target === undefined) throw new UsageError("TARGET is missing");
    const count = Number(flags.count ?? 4);
    if (!Number.isInteger(count) || count < 1) throw new UsageError("--count must be a whole number from 1");
    using trace = traceFileOf(context);
    await using node = await startNode(context, trace?.nodeOptions);
    const peer = await node.connect(target, { signal, timeoutMs: settings.timeoutMs });
    trace?.keep(peer.id);
    const times: number[] = [];
    for (let index = 0; index < count; index++) {
      if (index > 0) await new Promise((resolve) => setTimeout(resolve, INTERVAL_MS));
      const { rttMs, remote } = await peer.ping({ signal, timeoutMs: settings.timeoutMs });
      times.push(rttMs);
      terminal.result(`${peer.name ?? peer.id} via ${remote}: ${rttMs.toFixed(2)} ms`, {
        id: peer.id,
        via: remote,
        rttMs,
      });
    }
    const mean = times.reduce((sum, time) => sum + time, 0) / times.length;
    terminal.note(
      `min ${Math.min(...times).toFixed(2)} / mean ${mean.toFixed(2)} / max ${Math.max(...times).toFixed(2)} ms`,
    );
    await peer.close();
  },
};
