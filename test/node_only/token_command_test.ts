/**
 * `viaduct token`, and `viaduct relay` with a policy, a list of what was revoked, and a management interface: as an
 * operator runs them.
 *
 * @module
 */

import assert from "node:assert/strict";
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import process from "node:process";
import { test } from "node:test";
import { parseArgs } from "node:util";
import { verifyAdmission } from "../../adapters/admission/mod.ts";
import type { Node, RelayStatus } from "../../adapters/node/mod.ts";
import { createNode } from "../../adapters/node/mod.ts";
import type { CommandContext } from "../../cli/command.ts";
import { relayCommand } from "../../cli/commands/relay.ts";
import { tokenCommand } from "../../cli/commands/token.ts";
import type { Flags } from "../../cli/settings.ts";
import type { Terminal } from "../../cli/terminal.ts";
import { Folder, Program } from "./program.ts";

/** What a command in this process is run with; what it shows goes into `results`. */
function contextOf(positionals: readonly string[], flags: Flags, results: Record<string, unknown>[]): CommandContext {
  return {
    positionals,
    flags,
    settings: {
      relays: [],
      listen: [],
      announce: [],
      key: undefined,
      name: undefined,
      admission: undefined,
      isJson: true,
      timeoutMs: 1,
    },
    terminal: {
      isJson: true,
      result: (_text: string, facts: Record<string, unknown>) => results.push(facts),
      note: () => undefined,
    } as unknown as Terminal,
    signal: new AbortController().signal,
  };
}

/** Runs the command in this process and returns the facts that it shows. */
async function token(args: readonly string[]): Promise<Record<string, unknown>> {
  const results: Record<string, unknown>[] = [];
  const { values, positionals } = parseArgs({
    args: [...args],
    options: { ...tokenCommand.options, key: { type: "string" }, name: { type: "string" } },
    allowPositionals: true,
  });
  await tokenCommand.run(contextOf(positionals, values as Flags, results));
  assert.equal(results.length, 1);
  return results[0] as Record<string, unknown>;
}

test("token: a key is made once for its owner alone; what it signs is shown, checked and revoked", async () => {
  using folder = new Folder();
  const [key, revoked] = [folder.join("operator key"), folder.join("revoked")];
  const made = await token(["keygen", "--key", key]);
  assert.match(String(made.public), /^k4\.public\./);
  assert.equal(statSync(key).mode & 0o777, 0o600);
  await assert.rejects(token(["keygen", "--key", key]), { code: "key_file", message: /is not replaced/ });

  const issue = ["issue", "--key", key, "--name", "player-*", "--expires", "12h", "--uses", "3", "--target", "lobby-*"];
  const issued = await token([...issue, "--target", "eu/game", "--rate", "1000", "--type", "client", "--id", "first"]);
  const text = String(issued.token);
  const standing = verifyAdmission(text, { keys: [String(made.public)] });
  assert.ok(standing.type === "valid");
  const { issuedAtUnixMs, expiresAtUnixMs, ...claims } = standing.claims;
  assert.equal(expiresAtUnixMs - issuedAtUnixMs, 12 * 3_600_000);
  assert.deepEqual(claims, {
    ...{
      id: "first",
      name: "player-*",
      uses: 3,
      bytesPerSecond: 1000,
      type: "client",
      targets: ["lobby-*", "eu/game"],
    },
  });
  writeFileSync(folder.join("token"), `${text}\n`);
  assert.deepEqual((await token(["inspect", folder.join("token")])).targets, ["lobby-*", "eu/game"]);
  assert.equal((await token(["verify", text, "--key", key])).id, "first");
  assert.equal((await token(["verify", text, "--key", String(made.public), "--revoked", revoked])).id, "first");

  await token(["revoke", "other", "--revoked", revoked]);
  const before = process.cwd();
  process.chdir(folder.path); // Where the file's name alone looks like an id.
  await token(["revoke", "token", "--revoked", revoked]).finally(() => process.chdir(before));
  const list = JSON.parse(readFileSync(revoked, "utf8")) as { revoked: { id: string; until: string }[] };
  assert.deepEqual(
    list.revoked.map(({ id }) => id),
    ["other", "first"],
  );
  assert.equal(list.revoked[1]?.until, issued.expiresAt);
  assert.equal(existsSync(`${revoked}.lock`), false);
  await assert.rejects(token(["verify", text, "--key", key, "--revoked", revoked]), { code: "token_revoked" });

  const next = String((await token(["issue", "--key", key, "--audience", "eu"])).token);
  assert.equal(
    (await token(["verify", next, "--key", key, "--audience", "eu", "--revoked", revoked])).expiresAt !== "",
    true,
  );
  await assert.rejects(token(["verify", next, "--key", key]), { code: "token_refused", message: /audience/ });
  await token(["revoke", "--issued-before", new Date(Date.now() + 1000).toISOString(), "--revoked", revoked]);
  await assert.rejects(token(["verify", next, "--key", key, "--audience", "eu", "--revoked", revoked]), {
    code: "token_revoked",
  });

  await token(["keygen", "--key", folder.join("other")]);
  await assert.rejects(token(["verify", text, "--key", folder.join("other")]), { code: "token_refused" });
  writeFileSync(`${revoked}.lock`, "");
  await assert.rejects(token(["revoke", "x", "--revoked", revoked]), { code: "file_io", message: /remove that/ });
});

test("token: what cannot be meant is named, and what is damaged refused", async () => {
  using folder = new Folder();
  const key = folder.join("key");
  await token(["keygen", "--key", key]);
  for (const [args, pattern] of [
    [[], /missing: keygen/],
    [["make"], /no 'token make'/],
    [["keygen", "more"], /What is 'more'/],
    [["show"], /TOKEN is missing/],
    [["issue", "--key", key, "--expires", "soon"], /--expires must be/],
    [["issue", "--key", key, "--expires", "401d"], /longer than 400 days/],
    [["issue", "--key", key, "--uses", "many"], /--uses must be/],
    [["issue", "--key", key, "--name", "No"], /neither a name nor a pattern/],
    [["issue", "--key", key, "--holder", "me"], /holder is no id/],
    [["revoke", "x"], /--revoked FILE is missing/],
    [["revoke", "--revoked", folder.join("r")], /ID is missing/],
    [["revoke", "x", "--revoked", folder.join("r"), "--until", "later"], /--until must be/],
  ] as const) {
    await assert.rejects(token(args), { name: "UsageError", message: pattern }, args.join(" "));
  }
  writeFileSync(folder.join("damaged"), "nothing of the kind");
  writeFileSync(folder.join("open"), readFileSync(key), { mode: 0o644 });
  await assert.rejects(token(["issue", "--key", folder.join("damaged")]), { code: "key_file" });
  await assert.rejects(token(["issue", "--key", folder.join("none")]), { code: "key_file" });
  await assert.rejects(token(["issue", "--key", folder.join("open")]), { code: "key_file", message: /chmod 600/ });
  await assert.rejects(token(["show", folder.join("damaged")]), { code: "token_refused" });
  await assert.rejects(token(["show", folder.join("none")]), { code: "file_missing" });
  await assert.rejects(token(["revoke", "x", "--revoked", folder.join("damaged")]), { code: "config_invalid" });
  assert.equal(readFileSync(folder.join("damaged"), "utf8"), "nothing of the kind");
});

async function statusOf(node: Node, isWanted: (status: RelayStatus) => boolean): Promise<RelayStatus> {
  for (let round = 0; round < 4_000; round++) {
    const status = node.relays.find(isWanted);
    if (status !== undefined) return status;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  throw new Error(`It never came about: ${JSON.stringify(node.relays)}`);
}

async function wordOf(relay: string, admission?: string): Promise<string> {
  await using node = await createNode({ relays: [relay], ...(admission === undefined ? {} : { admission }) });
  const { name, error } = await statusOf(node, ({ state }) => state === "registered" || state === "refused");
  return error ?? String(name);
}

test("command: a relay with a policy reads it and what was revoked again, and is managed over HTTP", async () => {
  using folder = new Folder();
  const home = folder.join("home");
  const key = folder.join("home/operator-key");
  const made = await token(["keygen", "--key", key]);
  const policy = folder.join("policy.json");
  const rule = { type: "token", keys: [made.public] };
  writeFileSync(policy, JSON.stringify({ rules: [rule] }));
  const args = ["--listen", "tcp://127.0.0.1:0", "--policy", policy, "--manage", "127.0.0.1:0"];
  await using relay = new Program("cli/main.ts", ["relay", ...args], { VIADUCT_HOME: home });
  const ticket = (await relay.until(/Ticket (via1\w+)/))[1] as string;
  const management = (await relay.until(/Management (http:\S+)/))[1] as string;
  const alice = await token(["issue", "--key", key, "--name", "alice"]);
  assert.equal(await wordOf(ticket), "token_refused");
  await using node = await createNode({ relays: [ticket], admission: String(alice.token) });
  await node.ready;
  assert.equal(node.name, "alice");

  // A command shows it as a node does.
  writeFileSync(folder.join("token"), String((await token(["issue", "--key", key, "--name", "pinger"])).token));
  const ping = ["ping", "alice", "--relay", ticket, "--admission", folder.join("token"), "--anonymous", "--count", "1"];
  await using pinger = new Program("cli/main.ts", ping, { VIADUCT_HOME: home });
  assert.equal(await pinger.exit(), 0, pinger.output);

  // And one that has none says why it ends.
  const send = ["send", policy, "--relay", ticket, "--anonymous"];
  await using sender = new Program("cli/main.ts", send, { VIADUCT_HOME: home });
  assert.equal(await sender.exit(), 1, sender.output);
  assert.match(sender.output, /The token was refused by the relay.*\[token_refused\]/);

  const secret = readFileSync(folder.join("home/manage-secret"), "utf8").trim();
  assert.equal(statSync(folder.join("home/manage-secret")).mode & 0o777, 0o600);
  const call = (method: string, path: string, body?: string, shown = secret): Promise<Response> =>
    fetch(`${management}${path}`, {
      method,
      headers: { authorization: `Bearer ${shown}`, "content-type": "application/json" },
      ...(body === undefined ? {} : { body }),
    });
  assert.equal((await fetch(`${management}/openapi.json`)).status, 200);
  assert.equal((await call("GET", "/v1/clients", undefined, "wrong")).status, 401);
  assert.equal((await call("POST", "/v1/admissions", "x".repeat(100_000))).status, 413);
  const issued = (await (await call("POST", "/v1/admissions", '{"assignName":true}')).json()) as Record<string, string>;
  assert.equal(await wordOf(issued.relay as string, issued.admission), issued.name);
  assert.equal((await call("DELETE", `/v1/admissions/${issued.id}`)).status, 204);
  assert.equal(await wordOf(ticket, issued.admission), "token_revoked");

  await relay.until(/\w{8} from tcp:\/\/127\.0\.0\.1 was refused: token_revoked/);

  // What was revoked is read when its file changes; a policy that cannot be used changes nothing.
  await token(["revoke", String(alice.id), "--revoked", `${policy}.revoked`]);
  assert.equal((await statusOf(node, ({ error }) => error !== undefined)).error, "token_revoked");
  writeFileSync(policy, JSON.stringify({ rules: [{ type: "anonymus" }] }));
  await relay.until(/policy\.json' changed nothing: .*rules\[0\]\.type must be/);
  assert.equal(await wordOf(ticket), "token_refused");
  writeFileSync(policy, JSON.stringify({ rules: [rule, { type: "anonymous" }] }));
  if (process.platform !== "win32") relay.kill("SIGHUP");
  await relay.until(/policy\.json' is in force/);
  assert.match(await wordOf(ticket), /^[a-z2-7]{13}$/);
  // Nothing of what is secret was shown.
  for (const text of [secret, String(alice.token), readFileSync(key, "utf8").trim()]) {
    assert.equal(relay.output.includes(text), false);
  }
  relay.kill("SIGINT");
  await relay.exit();
});

test("command: a policy that cannot be used ends the relay's start with its code", async () => {
  using folder = new Folder();
  writeFileSync(folder.join("policy.json"), '{"rules":[]}');
  const args = ["relay", "--anonymous", "--listen", "tcp://127.0.0.1:0", "--policy", folder.join("policy.json")];
  await using program = new Program("cli/main.ts", args, { VIADUCT_HOME: folder.join("home") });
  assert.equal(await program.exit(), 1);
  assert.match(program.output, /rules must be a list of 1 to 64 rules.*\[config_invalid\]/);
  // A list that was named and is not there would let in whom it should not.
  const { options, run } = relayCommand;
  const { values } = parseArgs({ args: ["--revoked", folder.join("mistyped")], options });
  await assert.rejects(run(contextOf([], values as Flags, [])), { code: "file_missing" });
});
