/**
 * The commands of `viaduct`, and the options that all of them take. `docs/command.md` is made from it.
 *
 * @module
 */

import type { Command } from "./command.ts";
import { chatCommand } from "./commands/chat.ts";
import { forwardCommand } from "./commands/forward.ts";
import { idCommand } from "./commands/id.ts";
import { perfCommand } from "./commands/perf.ts";
import { pingCommand } from "./commands/ping.ts";
import { receiveCommand } from "./commands/receive.ts";
import { relayCommand } from "./commands/relay.ts";
import { sendCommand } from "./commands/send.ts";
import { tokenCommand } from "./commands/token.ts";

/** Each command by its name, in the order of the help. */
export const COMMANDS: ReadonlyMap<string, Command> = new Map([
  ["relay", relayCommand],
  ["token", tokenCommand],
  ["id", idCommand],
  ["chat", chatCommand],
  ["send", sendCommand],
  ["receive", receiveCommand],
  ["forward", forwardCommand],
  ["ping", pingCommand],
  ["perf", perfCommand],
]);

/** As `parseArgs` of `node:util` takes them. */
export const SHARED_OPTIONS = {
  relay: { type: "string", multiple: true, short: "r" },
  listen: { type: "string", multiple: true, short: "l" },
  announce: { type: "string", multiple: true },
  key: { type: "string", short: "k" },
  anonymous: { type: "boolean" },
  name: { type: "string", short: "n" },
  admission: { type: "string" },
  config: { type: "string" },
  timeout: { type: "string" },
  json: { type: "boolean" },
  help: { type: "boolean", short: "h" },
} as const;

/** What the help says of them. */
export const SHARED_HELP: string = `\
Options of every command; each can also be set in the environment or in a JSON file, the flag wins:
  -r, --relay RELAY     register with a relay: a ticket or an address     VIADUCT_RELAY     "relays"
  -l, --listen ADDRESS  listen, such as tcp://0.0.0.0:0, udp://…, ws://…  VIADUCT_LISTEN    "listen"
      --announce ADDRESS  put into tickets: where others reach it       VIADUCT_ANNOUNCE  "announce"
  -k, --key FILE        the key file, made when missing                   VIADUCT_KEY       "key"
      --anonymous       a fresh key in memory
  -n, --name NAME       the name to ask relays for                        VIADUCT_NAME      "name"
      --admission FILE  the token that lets the node in at relays         VIADUCT_ADMISSION "admission"
      --timeout SECONDS how long to try to connect (30)                   VIADUCT_TIMEOUT   "timeout"
      --config FILE     the JSON file                                     VIADUCT_CONFIG
      --json            one JSON object per line
  -h, --help            this text`;
