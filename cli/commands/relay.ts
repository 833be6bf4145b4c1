/** `viaduct relay`: runs a relay until it is interrupted. @module */

import { join } from "node:path";
import { managementOf } from "../../adapters/admission/mod.ts";
import type { RelayHandle, RelayOptions } from "../../adapters/api/create_relay.ts";
import { ViaductError } from "../../core/error.ts";
import type { Command, CommandContext } from "../command.ts";
import { UsageError, untilInterrupted } from "../command.ts";
import type { ManagementServer } from "../management_server.ts";
import { serveManagement } from "../management_server.ts";
import { loadOperatorKey, loadOrCreateSecret, loadRevocations, readText } from "../operator_files.ts";
import { loadRuntimeEntry } from "../runtime_entry.ts";
import type { Flags } from "../settings.ts";
import { configDirectory } from "../settings.ts";
import type { WatchedFile } from "../watched_file.ts";
import { watchFiles } from "../watched_file.ts";

const DEFAULT_LISTEN = ["tcp://0.0.0.0:5480", "ws://0.0.0.0:5481"];
const POLICY_BYTES_MAX = 4 * 1024 * 1024;
const DRAIN = { reconnectInMs: 500, tryForMs: 60_000 };

export const relayCommand: Command = {
  summary: "run a relay that others register with and reach each other through",
  usage: `viaduct relay [--listen ADDRESS]... [--key FILE] [--state FILE] [--host NAME]... [--origin ORIGIN]...
              [--policy FILE] [--revoked FILE] [--manage HOST:PORT]

Listens on ${DEFAULT_LISTEN.join(" and ")} unless told otherwise.
Names live between runs: who was here finds the same name after a restart, and nobody else can take it.

  --state FILE      where names are kept, for one relay alone (the key's file with .names behind it); none to forget
                    them when the relay ends. It holds no token and no address
  --host NAME       a Host that WebSocket clients may use, besides localhost and IP addresses
  --origin ORIGIN   an Origin whose pages may connect, or * for all; by default only the same origin

  --policy FILE     who is let in, as JSON: see docs/admission.md; everybody without it
  --revoked FILE    tokens that viaduct token revoke took back (the policy's file with .revoked behind it)
                    Both are read again when they change, and at SIGHUP; who is here stays unless the token was revoked

  --manage HOST:PORT       serve the management interface, HTTP without TLS: on this machine, or behind a proxy
  --manage-secret FILE     what callers show it as Authorization: Bearer, made when missing (manage-secret)
  --operator-key FILE      the key that signs what it hands out (operator-key), made by viaduct token keygen`,
  options: {
    host: { type: "string", multiple: true },
    origin: { type: "string", multiple: true },
    state: { type: "string" },
    policy: { type: "string" },
    revoked: { type: "string" },
    manage: { type: "string" },
    "manage-secret": { type: "string" },
    "operator-key": { type: "string" },
  },
  async run(context) {
    const { settings, terminal, signal, flags } = context;
    const { createRelay } = await loadRuntimeEntry();
    const listen = settings.listen.length > 0 ? settings.listen : DEFAULT_LISTEN;
    const store = settings.key === join(configDirectory(), "key") ? join(configDirectory(), "relay-key") : settings.key;
    const state = stateFileOf(flags.state, store);
    const policy = textOf(flags, "policy");
    const named = textOf(flags, "revoked");
    const revoked = named ?? (policy === undefined ? undefined : `${policy}.revoked`);
    const relay = await createRelay({
      ...(policy === undefined ? {} : { policy: readPolicy(policy) }),
      ...(revoked === undefined
        ? {}
        : { revocations: loadRevocations(revoked, { mustExist: named !== undefined }).encode() }),
      listen,
      announce: settings.announce,
      allowedHosts: (flags.host as string[] | undefined) ?? [],
      allowedOrigins: (flags.origin as string[] | undefined) ?? [],
      onHttpRequest: ({ path }) =>
        path === "/healthz" ? { status: 200, headers: { "content-type": "text/plain" }, body: "ok\n" } : undefined,
      ...(store === undefined ? {} : { identity: { store } }),
      ...(state === undefined ? {} : { state: { file: state } }),
    });
    const management = await startManagement(context, relay);
    const ticket = relay.ticket();
    const { addresses, id } = relay.node;
    const managed = management === undefined ? "" : `\nManagement ${management.address}`;
    terminal.result(
      `Relay ${id}\n${addresses.map((address) => `  ${address}`).join("\n")}${managed}\nTicket ${ticket}`,
      {
        id,
        addresses,
        ticket,
        ...(management === undefined ? {} : { management: management.address }),
      },
    );
    watchAdmission({ policy, revoked }, context, relay);
    void (async () => {
      for await (const event of relay.events({ signal })) {
        if (event.type === "clientJoined") terminal.note(`${event.client.name} joined`, { id: event.client.id });
        else if (event.type === "clientLeft") terminal.note(`${event.client.name} left`, { id: event.client.id });
        else if (event.type === "clientRefused") {
          const { id, remote, code, untold } = event;
          const more = untold === 0 ? "" : `, and ${untold} more`;
          terminal.note(`${id.slice(0, 8)} from ${remote} was refused: ${code}${more}`, {
            id,
            remote,
            error: code,
            untold,
          });
        }
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
    await management?.close();
    relay.drain(DRAIN);
    await relay.close();
  },
};

function readPolicy(path: string): NonNullable<RelayOptions["policy"]> {
  const text = readText(path, POLICY_BYTES_MAX);
  try {
    // What it says is checked by the relay, field by field.
    return JSON.parse(text) as NonNullable<RelayOptions["policy"]>;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new ViaductError("config_invalid", { cause: error, detail: `'${path}': ${reason}` });
  }
}

/** Puts the policy and what was revoked into force again whenever their files change. */
function watchAdmission(
  paths: { readonly policy: string | undefined; readonly revoked: string | undefined },
  { signal, terminal }: CommandContext,
  relay: RelayHandle,
): void {
  const { policy, revoked } = paths;
  const files: WatchedFile[] = [];
  if (policy !== undefined) files.push({ path: policy, apply: () => relay.setPolicy(readPolicy(policy)) });
  if (revoked !== undefined) {
    files.push({ path: revoked, apply: () => relay.revokeAll(loadRevocations(revoked).encode()) });
  }
  if (files.length === 0) return;
  watchFiles(files, {
    signal,
    onApplied: (path, error) => {
      if (error === undefined) terminal.note(`'${path}' is in force`);
      else terminal.note(`'${path}' changed nothing: ${error instanceof Error ? error.message : String(error)}`);
    },
  });
}

async function startManagement(
  { flags, terminal }: CommandContext,
  relay: RelayHandle,
): Promise<ManagementServer | undefined> {
  const where = textOf(flags, "manage");
  if (where === undefined) return undefined;
  try {
    const policy = textOf(flags, "policy");
    if (policy === undefined) throw new UsageError("--manage needs a --policy that has the key");
    const key = loadOperatorKey(textOf(flags, "operator-key") ?? join(configDirectory(), "operator-key"));
    const isKnown = readPolicy(policy).rules.some((rule) => rule.type === "token" && rule.keys?.includes(key.public));
    if (!isKnown) terminal.note(`The policy has no rule for ${key.public}: what is handed out will be refused`);
    const secret = loadOrCreateSecret(textOf(flags, "manage-secret") ?? join(configDirectory(), "manage-secret"));
    const isHere = /^(127\.|localhost:|\[::1\])/.test(where);
    if (!isHere) terminal.note("The management interface has no TLS: let only a proxy on a network of yours reach it");
    return await serveManagement(where, managementOf({ relay, key: key.secret, secret }));
  } catch (error) {
    await relay.close();
    throw error;
  }
}

function textOf(flags: Flags, name: string): string | undefined {
  const value = flags[name];
  return typeof value === "string" ? value : undefined;
}

/** A relay without a key of its own is another one at its next start: nothing it remembers would be of use. */
function stateFileOf(flag: unknown, key: string | undefined): string | undefined {
  if (typeof flag === "string") return flag === "none" ? undefined : flag;
  return key === undefined ? undefined : `${key}.names`;
}
