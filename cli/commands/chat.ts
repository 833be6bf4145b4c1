/** `viaduct chat [TARGET]...`: lines of text with nodes, until the input ends. @module */

import process from "node:process";
import { createInterface } from "node:readline";
import { Chat } from "../../protocols/chat.ts";
import type { Command } from "../command.ts";
import { startNode, untilReady } from "../command.ts";

export const chatCommand: Command = {
  summary: "chat with nodes, or wait for others to begin",
  usage: `viaduct chat [TARGET]... [--relay RELAY] [--name NAME]

Lines of the standard input go to all who are in the chat: the targets, and whoever connects.`,
  options: {},
  async run(context) {
    const { positionals, settings, terminal, signal } = context;
    const listen = settings.listen.length > 0 || settings.relays.length > 0 ? settings.listen : ["tcp://0.0.0.0:0"];
    await using node = await startNode({ ...context, settings: { ...settings, listen } });
    using chat = new Chat({
      node,
      name: () => settings.name ?? node.name ?? node.id.slice(0, 8),
      prefix: Date.now().toString(36),
      handlers: {
        onLine: (line) => {
          terminal.result(`${line.name || line.from.slice(0, 8)}: ${line.text}`, { line });
        },
        onDelivered: (id, peer) => {
          if (terminal.isJson) terminal.note("delivered", { id, peer });
        },
      },
    });
    if (settings.relays.length > 0) await untilReady(node, context);
    terminal.note(`You are ${node.name ?? node.id}\nTicket ${node.ticket()}`, { id: node.id, ticket: node.ticket() });
    for (const target of positionals) await node.connect(target, { signal, timeoutMs: settings.timeoutMs });
    const lines = createInterface({ input: process.stdin });
    const onAbort = (): void => lines.close();
    signal.addEventListener("abort", onAbort, { once: true });
    for await (const text of lines) if (text.trim() !== "") chat.say(text, node.peers.keys());
    signal.removeEventListener("abort", onAbort);
    // What was said last must arrive before the node goes.
    for (let waited = 0; waited < 50 && [...node.peers.keys()].some((id) => chat.waitingFor(id) > 0); waited++) {
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  },
};
