/** `viaduct token`: keys and admissions of a relay's operator. @module */

import { existsSync } from "node:fs";
import { join } from "node:path";
import type { IssueOptions } from "../../adapters/admission/mod.ts";
import { dangerousReadAdmission, issueAdmission, verifyAdmission } from "../../adapters/admission/mod.ts";
import { ViaductError } from "../../core/error.ts";
import type { Command, CommandContext } from "../command.ts";
import { UsageError } from "../command.ts";
import {
  admissionOf,
  changeRevocations,
  createOperatorKeyFile,
  loadOperatorKey,
  loadRevocations,
} from "../operator_files.ts";
import type { Flags } from "../settings.ts";
import { configDirectory } from "../settings.ts";

const UNIT_MS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const PUBLIC_KEY = /^k4\.public\./;

const COUNTS = ["uses", "rate", "burst", "circuits", "incoming"] as const;
const COUNT_CLAIMS = {
  uses: "uses",
  rate: "bytesPerSecond",
  burst: "burstBytes",
  circuits: "circuitsMax",
  incoming: "incomingCircuitsMax",
} as const;

export const tokenCommand: Command = {
  summary: "make, show, check and revoke what lets nodes in at a relay",
  usage: `viaduct token keygen  [--key FILE]
viaduct token issue   [--key FILE] [--name NAME] [--expires 30d] [--uses N] [--holder ID] …
viaduct token inspect TOKEN
viaduct token verify  TOKEN [--key FILE | --key k4.public.…] [--revoked FILE] [--audience TEXT] [--holder ID]
viaduct token revoke  ID|TOKEN… --revoked FILE
viaduct token revoke  --issued-before now --revoked FILE

TOKEN is a token, or a file with one: what is in an argument can be seen by everybody on this machine. The key that
signs is not that of a node; without --key it is operator-key in the folder of the command. keygen replaces none.
Nodes show a token with --admission FILE; relays take it by a policy that has the public key: viaduct relay --policy.
verify ends with 0 when the token is good now, with 1 and token_expired, token_revoked or token_refused when not.

What a token says, all of it left out by default:
  -n, --name NAME           the name, or a pattern of those that may be chosen, such as 'player-*'
      --id ID               by which it is revoked (a random one)
      --expires 30d         for how long it is good, in s, m, h or d: at most 400d (1d)
      --uses N              how many nodes may come with it
      --holder ID           the only node that may show it
      --audience TEXT       the only relay, by its id, or those whose policy has this audience
      --namespace TEXT      where its holder belongs
      --type node|client    nobody can open circuits to a client
      --target PATTERN      whom circuits may be opened to: a pattern of names, NAMESPACE/PATTERN; may be given again
      --rate N, --burst N   bytes in a second through the relay, and at once; for all who show it together
      --circuits N          circuits to others at once
      --incoming N          circuits of others to it at once

  --revoked FILE            the list of what was revoked, which viaduct relay --revoked reads
  --until WHEN              until when a revocation is kept, such as 2026-01-31T12:00:00Z: when the token expires
                            (as long as any token can last, or as TOKEN says)
  --issued-before WHEN      revokes all that was issued before, by every key`,
  options: {
    id: { type: "string" },
    expires: { type: "string" },
    uses: { type: "string" },
    holder: { type: "string" },
    audience: { type: "string" },
    namespace: { type: "string" },
    type: { type: "string" },
    target: { type: "string", multiple: true },
    rate: { type: "string" },
    burst: { type: "string" },
    circuits: { type: "string" },
    incoming: { type: "string" },
    revoked: { type: "string" },
    until: { type: "string" },
    "issued-before": { type: "string" },
  },
  async run(context) {
    const [action, ...rest] = context.positionals;
    switch (action) {
      case "keygen":
        return keygen(context, rest);
      case "issue":
        return issue(context, rest);
      case "inspect":
      case "show":
        return inspect(context, rest);
      case "verify":
        return verify(context, rest);
      case "revoke":
        return await revoke(context, rest);
      case undefined:
        throw new UsageError("What to do is missing: keygen, issue, inspect, verify or revoke");
      default:
        throw new UsageError(`There is no 'token ${action}'`);
    }
  },
};

function keygen({ flags, terminal }: CommandContext, rest: readonly string[]): void {
  takeNone(rest);
  const path = keyPathOf(flags);
  const { public: publicKey, id } = createOperatorKeyFile(path);
  terminal.result(`Key ${path}\nPublic ${publicKey}`, { key: path, public: publicKey, id });
}

function issue({ flags, terminal, settings }: CommandContext, rest: readonly string[]): void {
  takeNone(rest);
  const key = loadOperatorKey(keyPathOf(flags));
  const counts: Record<string, number> = {};
  for (const flag of COUNTS) {
    const text = flagOf(flags, flag);
    if (text === undefined) continue;
    if (!/^\d{1,15}$/.test(text)) throw new UsageError(`--${flag} must be a whole number: '${text}'`);
    counts[COUNT_CLAIMS[flag]] = Number(text);
  }
  const texts: Record<string, string> = {};
  for (const flag of ["id", "holder", "audience", "namespace", "type"]) {
    const text = flagOf(flags, flag);
    if (text !== undefined) texts[flag] = text;
  }
  const { target } = flags;
  const expires = flagOf(flags, "expires");
  const options = {
    ...counts,
    ...texts,
    // The name of a node in the environment or a file is not what a token is for.
    ...(typeof flags.name === "string" ? { name: flags.name } : {}),
    ...(Array.isArray(target) ? { targets: target.filter((item) => typeof item === "string") } : {}),
    ...(expires === undefined ? {} : { expiresInMs: durationOf(expires) }),
  } as IssueOptions;
  let issued: ReturnType<typeof issueAdmission>;
  try {
    issued = issueAdmission(options, key.secret);
  } catch (error) {
    if (error instanceof RangeError) throw new UsageError(error.message);
    throw error;
  }
  const expiresAt = new Date(issued.expiresAtUnixMs).toISOString();
  terminal.result(issued.admission, { token: issued.admission, id: issued.id, expiresAt });
  if (!settings.isJson) terminal.note(`Id ${issued.id}, expires ${expiresAt}`);
}

function inspect({ terminal }: CommandContext, rest: readonly string[]): void {
  const read = dangerousReadAdmission(admissionOf(takeOne(rest, "TOKEN")));
  if (read === undefined) throw new ViaductError("token_refused", { detail: "this is no token for a relay" });
  const { issuedAtUnixMs, expiresAtUnixMs, notBeforeUnixMs, ...claims } = read.claims;
  const facts = {
    ...claims,
    issuedAt: new Date(issuedAtUnixMs).toISOString(),
    expiresAt: new Date(expiresAtUnixMs).toISOString(),
    ...(notBeforeUnixMs === undefined ? {} : { notBefore: new Date(notBeforeUnixMs).toISOString() }),
    key: read.key ?? null,
  };
  const lines = Object.entries(facts).map(
    ([name, value]) => `${name}: ${Array.isArray(value) ? value.join(" ") : value}`,
  );
  terminal.result(`${lines.join("\n")}\nNothing of it was checked: viaduct token verify does that`, facts);
}

function verify({ flags, terminal }: CommandContext, rest: readonly string[]): void {
  const admission = admissionOf(takeOne(rest, "TOKEN"));
  const path = keyPathOf(flags);
  const key = PUBLIC_KEY.test(path) ? path : loadOperatorKey(path).public;
  const [revoked, audience, holder] = ["revoked", "audience", "holder"].map((flag) => flagOf(flags, flag));
  const standing = verifyAdmission(admission, {
    keys: [key],
    ...(audience === undefined ? {} : { audiences: [audience] }),
    ...(holder === undefined ? {} : { holder }),
    ...(revoked === undefined ? {} : { revocations: loadRevocations(revoked) }),
  });
  switch (standing.type) {
    case "valid": {
      const expiresAt = new Date(standing.claims.expiresAtUnixMs).toISOString();
      terminal.result(`Good until ${expiresAt}`, { id: standing.claims.id, expiresAt });
      return;
    }
    case "void": {
      const { reason } = standing;
      const isRevoked = reason === "revoked" || reason === "issued_before";
      const code = reason === "expired" ? "token_expired" : isRevoked ? "token_revoked" : "token_refused";
      throw new ViaductError(code, { detail: `${reason}, id ${standing.id ?? "unknown"}` });
    }
    case "foreign":
      throw new ViaductError("token_refused", { detail: "the key did not sign it" });
    case "none":
      throw new ViaductError("token_refused", { detail: "it is empty" });
  }
}

async function revoke({ flags, terminal }: CommandContext, rest: readonly string[]): Promise<void> {
  const path = flagOf(flags, "revoked");
  if (path === undefined) throw new UsageError("--revoked FILE is missing");
  const before = instantOf(flags, "issued-before");
  const until = instantOf(flags, "until");
  if (rest.length === 0 && before === undefined) throw new UsageError("ID is missing");
  const unixMs = Date.now();
  const revocations = rest.map((argument) => {
    // A file named `token` has the form of an id. That somebody means an id which is a file's name here is less likely.
    if (/^[\w-]{1,64}$/.test(argument) && !existsSync(argument)) return { id: argument, untilUnixMs: until };
    const read = dangerousReadAdmission(admissionOf(argument));
    if (read === undefined) throw new ViaductError("token_refused", { detail: "this is no token for a relay" });
    return { id: read.claims.id, untilUnixMs: until ?? read.claims.expiresAtUnixMs };
  });
  await changeRevocations(path, (list) => {
    if (before !== undefined) list.revokeIssuedBefore(before);
    for (const { id, untilUnixMs } of revocations) {
      if (list.revoke(id, { unixMs, ...(untilUnixMs === undefined ? {} : { untilUnixMs }) })) continue;
      throw new ViaductError("limit", { detail: "the list is full: use --issued-before, or another key" });
    }
  });
  const ids = revocations.map(({ id }) => id);
  const all = before === undefined ? [] : [`all issued before ${new Date(before).toISOString()}`];
  terminal.result(`Revoked ${[...ids, ...all].join(", ")}`, {
    revoked: ids,
    ...(before === undefined ? {} : { issuedBefore: new Date(before).toISOString() }),
  });
}

function keyPathOf(flags: Flags): string {
  return flagOf(flags, "key") ?? join(configDirectory(), "operator-key");
}

function flagOf(flags: Flags, name: string): string | undefined {
  const value = flags[name];
  return typeof value === "string" ? value : undefined;
}

function durationOf(text: string): number {
  const [, count, unit] = /^(\d{1,9})([smhd])$/.exec(text) ?? [];
  if (count === undefined || unit === undefined)
    throw new UsageError(`--expires must be such as 12h or 30d: '${text}'`);
  return Number(count) * (UNIT_MS[unit] as number);
}

function instantOf(flags: Flags, name: string): number | undefined {
  const text = flagOf(flags, name);
  if (text === undefined) return undefined;
  const instant = text === "now" ? Date.now() : Date.parse(text);
  if (!Number.isFinite(instant)) throw new UsageError(`--${name} must be such as 2026-01-31T12:00:00Z: '${text}'`);
  return instant;
}

function takeOne(rest: readonly string[], what: string): string {
  const [one, ...more] = rest;
  if (one === undefined) throw new UsageError(`${what} is missing`);
  takeNone(more);
  return one;
}

function takeNone(rest: readonly string[]): void {
  if (rest.length > 0) throw new UsageError(`What is '${rest[0]}'?`);
}
