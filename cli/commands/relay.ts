/** `viaduct relay`: runs a relay until it is interrupted. @module */

import { join } from "node:path";
import type { Command } from "../command.ts";
import { untilInterrupted } from "../command.ts";
import { loadRuntimeEntry } from "../runtime_entry.ts";
import { configDirectory } from "../settings.ts";

const DEFAULT_LISTEN = ["tcp://0.0.0.0:5480", "ws://0.0.0.0:5481"];
const DRAIN = { reconnectInMs: 500, tryForMs: 60_000 };

export const relayCommand: Command = {
  summary: "run a relay that others register with and reach each other through",
  usage: `viaduct relay [--listen ADDRESS]... [--key FILE] [--state FILE] [--host NAME]... [--origin ORIGIN]...

Listens on ${DEFAULT_LISTEN.join(" and ")} unless told otherwise.
Names live between runs: who was here finds the same name after a restart, and nobody else can take it.

  --state FILE      where names are kept, for one relay alone (the key's file with .names behind it); none to forget
                    them when the relay ends. It holds no token and no address
  --host NAME       a Host that WebSocket clients may use, besides localhost and IP addresses
  --origin ORIGIN   an Origin whose pages may connect, or * for all; by default only the same origin`,
  options: {
    host: { type: "string", multiple: true },
    origin: { type: "string", multiple: true },
    state: { type: "string" },
  },
  async run({ settings, terminal, signal, flags }) {
    const { createRelay } = await loadRuntimeEntry();
    const listen = settings.listen.length > 0 ? settings.listen : DEFAULT_LISTEN;
    const store = settings.key === join(configDirectory(), "key") ? join(configDirectory(), "relay-key") : settings.key;
    const state = stateFileOf(flags.state, store);
    const relay = await createRelay({
      listen,
      allowedHosts: (flags.host as string[] | undefined) ?? [],
      allowedOrigins: (flags.origin as string[] | undefined) ?? [],
      onHttpRequest: ({ path }) =>
        path === "/healthz" ? { status: 200, headers: { "content-type": "text/plain" }, body: "ok\n" } : undefined,
      ...(store === undefined ? {} : { identity: { store } }),
      ...(state === undefined ? {} : { state: { file: state } }),
    });
    const ticket = relay.ticket();
    const { addresses, id } = relay.node;
    terminal.result(`Relay ${id}\n${addresses.map((address) => `  ${address}`).join("\n")}\nTicket ${ticket}`, {
      id,
      addresses,
      ticket,
    });
    void (async () => {
      for await (const event of relay.events({ signal })) {
        if (event.type === "clientJoined") terminal.note(`${event.client.name} joined`, { id: event.client.id });
        else if (event.type === "clientLeft") terminal.note(`${event.client.name} left`, { id: event.client.id });
      }
    })().catch(() => undefined);
    void (async () => {
      for await (const event of relay.node.events({ signal })) {
        if (event.type !== "handlerFailed" || event.name !== "state") continue;
        const { error } = event;
        terminal.note(`The names were not saved: ${error instanceof Error ? error.message : String(error)}`);
      }
    })().catch(() => undefined);
    await untilInterrupted(signal);
    terminal.note("Draining");
    relay.drain(DRAIN);
    await relay.close();
  },
};

/** A relay without a key of its own is another one at its next start: nothing it remembers would be of use. */
function stateFileOf(flag: unknown, key: string | undefined): string | undefined {
  if (typeof flag === "string") return flag === "none" ? undefined : flag;
  return key === undefined ? undefined : `${key}.names`;
}
