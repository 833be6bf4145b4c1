/** `viaduct id`: shows this machine's node id, making the key when there is none. @module */

import type { Command } from "../command.ts";
import { startNode } from "../command.ts";

export const idCommand: Command = {
  summary: "show this node's id, making its key when there is none",
  usage: "viaduct id [--key FILE]",
  options: {},
  async run(context) {
    await using node = await startNode({ ...context, settings: { ...context.settings, relays: [], listen: [] } });
    context.terminal.result(node.id, { id: node.id, key: context.settings.key ?? null });
  },
};
