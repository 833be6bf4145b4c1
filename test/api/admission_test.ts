/**
 * Admissions from their issue to their end, over real sockets: who shows none is refused, who shows one is let in under
 * the name that it stands for, and no longer once it is revoked. And the same asked for over the management interface.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  createOperatorKey,
  issueAdmission,
  MANAGEMENT_OPENAPI,
  managementOf,
  RevocationList,
  readOperatorKey,
  readRevocationList,
  verifyAdmission,
} from "../../adapters/admission/mod.ts";
import type { RelayHandle, RelayOptions } from "../../adapters/api/create_relay.ts";
import type { Node, NodeOptions, RelayStatus } from "../../adapters/api/types.ts";
import { ViaductError } from "../../core/error.ts";
import { createNode, createRelay } from "./runtime_under_test.ts";

const SECRET = "0123456789abcdef0123456789abcdef";

function startRelay(options: RelayOptions): Promise<RelayHandle> {
  return createRelay({ listen: ["tcp://127.0.0.1:0"], ...options });
}

/** Waits until the relay's word on a node is of some kind. */
async function statusOf(node: Node, isWanted: (status: RelayStatus) => boolean): Promise<RelayStatus> {
  for (let round = 0; round < 2_000; round++) {
    const status = node.relays.find(isWanted);
    if (status !== undefined) return status;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  throw new Error(`It never came about: ${JSON.stringify(node.relays)}`);
}

/** Joins and says what came of it: the name, or the code of the refusal. */
async function join(relay: RelayHandle, options: NodeOptions): Promise<{ readonly node: Node; readonly word: string }> {
  const node = await createNode({ ...options, relays: [relay.ticket()] });
  const { state, error, name } = await statusOf(
    node,
    (status) => status.state === "registered" || status.state === "refused",
  );
  return { node, word: state === "registered" ? String(name) : String(error) };
}

/** What came of it, the node being gone again. */
async function wordOf(relay: RelayHandle, options: NodeOptions): Promise<string> {
  const { node, word } = await join(relay, options);
  await node.close();
  return word;
}

test("admission: refused without one, let in with one, its name enforced, refused once it is revoked", async () => {
  const key = createOperatorKey();
  const other = createOperatorKey();
  await using relay = await startRelay({
    policy: { audiences: ["test"], rules: [{ type: "token", keys: [key.public] }] },
  });
  assert.equal(await wordOf(relay, {}), "token_refused");
  assert.equal(await wordOf(relay, { admission: "nonsense" }), "token_refused");
  assert.equal(await wordOf(relay, { admission: issueAdmission({}, other.secret).admission }), "token_refused");
  const elsewhere = issueAdmission({ audience: "another-place" }, key.secret);
  assert.equal(await wordOf(relay, { admission: elsewhere.admission }), "token_refused");

  const player = issueAdmission({ name: "player-*", audience: "test" }, key.secret);
  const { node: one, word } = await join(relay, { name: "player-one", admission: player.admission });
  await using _one = one;
  assert.equal(word, "player-one");
  const { node: two, word: given } = await join(relay, { name: "admin", admission: player.admission });
  await using _two = two;
  assert.match(given, /^player-[a-z2-7]{13}$/);
  assert.equal((await one.connect(given)).id, two.id);

  relay.revoke(player.id, { untilUnixMs: player.expiresAtUnixMs });
  for (const node of [one, two]) {
    assert.equal((await statusOf(node, (status) => status.error !== undefined)).error, "token_revoked");
  }
  assert.equal(await wordOf(relay, { admission: player.admission }), "token_revoked");
  assert.equal(relay.stats().clients, 0);
  assert.ok((relay.stats().voidTokens.revoked ?? 0) > 0);
});

test("admission: one for a single node, one that expires, another policy, and a list of what was revoked", async () => {
  const key = createOperatorKey();
  const list = new RevocationList();
  list.revoke("gone", { unixMs: Date.now() });
  await using relay = await startRelay({
    policy: { rules: [{ type: "token", keys: [key.public] }] },
    revocations: list.encode(),
  });
  assert.equal(
    await wordOf(relay, { admission: issueAdmission({ id: "gone" }, key.secret).admission }),
    "token_revoked",
  );

  const seed = new Uint8Array(32).fill(7);
  const { node: holder } = await join(relay, { identity: seed, admission: issueAdmission({}, key.secret).admission });
  const mine = issueAdmission({ holder: holder.id }, key.secret).admission;
  await holder.close();
  assert.match(await wordOf(relay, { identity: seed, admission: mine }), /^[a-z2-7]{13}$/);
  assert.equal(await wordOf(relay, { admission: mine }), "token_refused");

  const short = issueAdmission({ expiresInMs: 1_000 }, key.secret).admission;
  const { node } = await join(relay, { admission: short });
  await using _node = node;
  assert.equal((await statusOf(node, ({ error }) => error !== undefined)).error, "token_expired");

  const { name } = node;
  node.setAdmission(issueAdmission({}, key.secret).admission);
  assert.equal((await statusOf(node, ({ state }) => state === "registered")).name, name);
  assert.throws(() => node.setAdmission("a b"), RangeError);

  relay.setPolicy({ rules: [{ type: "deny", addresses: ["loopback"] }, { type: "anonymous" }] });
  assert.equal(await wordOf(relay, {}), "refused");
  relay.setPolicy({ rules: [{ type: "anonymous", names: "guest-*" }] });
  assert.equal(await wordOf(relay, { name: "guest-bob" }), "guest-bob");
  const wrong = { rules: [{ type: "anonymous", nmaes: "*" }] } as unknown as NonNullable<RelayOptions["policy"]>;
  assert.throws(() => relay.setPolicy(wrong), { code: "config_invalid", message: /rules\[0\]\.nmaes is not known/ });
  assert.equal(await wordOf(relay, { name: "guest-eve" }), "guest-eve", "the policy before is still in force");
});

test("admission: who shows forged ones as fast as it can is read later, and the others are let in meanwhile", async () => {
  const key = createOperatorKey();
  await using relay = await startRelay({ policy: { rules: [{ type: "token", keys: [key.public] }] } });
  const good = issueAdmission({}, key.secret).admission;
  const { node } = await join(relay, { admission: good });
  await using _node = node;
  // The footer names the key, so that each of them costs a signature to check.
  const forged = good.replace(/^v4\.public\.(.)/, (_all, letter) => `v4.public.${letter === "a" ? "b" : "a"}`);
  for (let round = 0; round < 500; round++) node.setAdmission(round % 2 === 0 ? forged : "x".repeat(2048));
  assert.match(await wordOf(relay, { admission: good }), /^[a-z2-7]{13}$/);
  const looked = relay.stats().voidTokens.foreign ?? 0;
  assert.ok(looked > 0 && looked < 150, `${looked} were looked at`);
  await relay.close(); // First: the node would wait for the rest to be taken.
});

test("admission: keys, checks and lists in the hands of an operator", () => {
  const key = createOperatorKey();
  assert.deepEqual(readOperatorKey(`${key.secret}\n`), key);
  assert.throws(() => readOperatorKey(key.public), { code: "key_file" });
  assert.throws(() => issueAdmission({ uses: 0 }, key.secret), RangeError);
  assert.throws(() => issueAdmission({ expiresInMs: -1 }, key.secret), RangeError);
  const { admission, id } = issueAdmission({ name: "bob" }, key.secret);
  assert.match(id, /^[\w-]{12}$/);
  const standing = verifyAdmission(admission, { keys: [key.public] });
  assert.ok(standing.type === "valid" && standing.claims.name === "bob");
  assert.equal(verifyAdmission(admission, { keys: [createOperatorKey().public] }).type, "foreign");
  const revocations = readRevocationList("");
  revocations.revoke(id, { unixMs: Date.now() });
  const again = readRevocationList(revocations.encode());
  assert.deepEqual(verifyAdmission(admission, { keys: [key.public], revocations: again }), {
    ...{ type: "void", key: key.id, reason: "revoked", id },
  });
  assert.throws(() => readRevocationList("{}"), { code: "config_invalid" });
});

test("management: an app's server creates a name and an admission, the client joins with it, and is sent away", async () => {
  const key = createOperatorKey();
  await using relay = await startRelay({ policy: { rules: [{ type: "token", keys: [key.public] }] } });
  const manage = managementOf({ relay, key: key.secret, secret: SECRET });
  const call = async (method: string, path: string, body?: unknown): Promise<{ status: number; body: Answer }> => {
    const headers = { authorization: `Bearer ${SECRET}`, "content-type": "application/json" };
    const init = body === undefined ? { method, headers } : { method, headers, body: JSON.stringify(body) };
    const response = await manage(new Request(`http://localhost${path}`, init));
    const text = await response.text();
    return { status: response.status, body: (text === "" ? {} : JSON.parse(text)) as Answer };
  };
  const issued = await call("POST", "/v1/admissions", { assignName: true, uses: 1, type: "client" });
  assert.equal(issued.status, 201);
  const { admission, name, id, relay: ticket } = issued.body;
  assert.match(String(name), /^[a-z2-7]{13}$/);
  const node = await createNode({ admission: String(admission), relays: [String(ticket)] });
  await using _node = node;
  await node.ready;
  assert.equal(node.name, name);
  const listed = await call("GET", "/v1/clients");
  const [client] = listed.body.clients ?? [];
  assert.deepEqual(
    [client?.name, client?.admissionId, client?.nodeType, listed.body.isTruncated],
    [name, id, "client", false],
  );
  assert.equal(JSON.stringify(listed.body).includes(String(admission)), false);
  const revoke = `/v1/admissions/${id}?expiresAt=${issued.body.expiresAt}`;
  assert.equal((await call("DELETE", revoke)).status, 204);
  assert.equal((await statusOf(node, ({ error }) => error !== undefined)).error, "token_revoked");
});

interface Answer {
  readonly admission?: string;
  readonly id?: string;
  readonly name?: string;
  readonly relay?: string;
  readonly expiresAt?: string;
  readonly error?: string;
  readonly isTruncated?: boolean;
  readonly clients?: readonly { readonly name: string; readonly admissionId: string; readonly nodeType: string }[];
}

test("management: without the secret nothing is told; what is malformed or too large is refused, never a crash", async () => {
  const key = createOperatorKey();
  const relay = {
    ticket: () => "via1",
    topology: () => ({ clients: [], circuits: [], isTruncated: false }),
    revoke: (): void => {
      throw new ViaductError("limit");
    },
  };
  assert.throws(() => managementOf({ relay, key: key.secret, secret: "short" }), RangeError);
  assert.throws(() => managementOf({ relay, key: key.public, secret: SECRET }), { code: "key_file" });
  const manage = managementOf({ relay, key: key.secret, secret: SECRET });
  const statusOfCall = async (
    path: string,
    init: RequestInit = {},
    secret: string | undefined = SECRET,
  ): Promise<number> => {
    const headers = {
      "content-type": "application/json",
      ...(secret === "" ? {} : { authorization: `Bearer ${secret}` }),
    };
    const response = await manage(new Request(`http://localhost${path}`, { headers, ...init }));
    await response.text();
    return response.status;
  };
  const post = (body: string): Promise<number> => statusOfCall("/v1/admissions", { method: "POST", body });
  assert.equal(await statusOfCall("/openapi.json", {}, ""), 200);
  for (const path of ["/v1/clients", "/v1/admissions", "/"]) {
    assert.equal(await statusOfCall(path, {}, ""), 401);
    assert.equal(await statusOfCall(path, {}, `${SECRET}x`), 401);
  }
  for (const body of [
    "",
    "no JSON",
    "[]",
    "null",
    '{"nmae":"bob"}',
    '{"uses":0}',
    '{"name":5}',
    '{"expiresInMs":1.5}',
  ]) {
    assert.equal(await post(body), 400, body);
  }
  assert.equal(await post('{"assignName":true,"name":"bob"}'), 400);
  assert.equal(await post('{"expiresInMs":99999999999}'), 400);
  assert.equal(await post(`{"name":"${"a".repeat(20_000)}"}`), 413);
  assert.equal(await post("{}"), 201);
  assert.equal(await statusOfCall("/v1/admissions", { method: "PUT", body: "{}" }), 405);
  assert.equal(await statusOfCall("/v1/admissions/a%2Fb", { method: "DELETE" }), 507);
  assert.equal(await statusOfCall("/v1/admissions/ab?expiresAt=tomorrow", { method: "DELETE" }), 400);
  assert.equal(await statusOfCall("/v1/nothing"), 404);
  // After sixty wrong secrets the wrong ones are not even looked at; the right one is.
  for (let round = 0; round < 60; round++) await statusOfCall("/v1/clients", {}, "wrong");
  assert.equal(await statusOfCall("/v1/clients", {}, "wrong"), 429);
  assert.equal(await statusOfCall("/v1/clients"), 200);
});

test("management: what the description says of an admission is what is taken and given", async () => {
  interface Described {
    readonly properties: Readonly<Record<string, object>>;
    readonly required?: readonly string[];
  }
  const { schemas } = MANAGEMENT_OPENAPI.components as { readonly schemas: Readonly<Record<string, Described>> };
  const key = createOperatorKey();
  const relay = {
    ticket: () => "via1",
    topology: () => ({ clients: [], circuits: [], isTruncated: false }),
    revoke: () => undefined,
  };
  const manage = managementOf({ relay, key: key.secret, secret: SECRET });
  const post = async (body: object): Promise<{ status: number; body: Readonly<Record<string, unknown>> }> => {
    const headers = { authorization: `Bearer ${SECRET}`, "content-type": "application/json" };
    const init = { method: "POST", headers, body: JSON.stringify(body) };
    const response = await manage(new Request("http://localhost/v1/admissions", init));
    return { status: response.status, body: (await response.json()) as Readonly<Record<string, unknown>> };
  };
  const texts: Readonly<Record<string, unknown>> = { type: "client", holder: "a".repeat(56), targets: ["lobby-*"] };
  for (const [name, facts] of Object.entries(schemas.AdmissionRequest?.properties ?? {})) {
    const { type } = facts as { readonly type: string };
    const value = texts[name] ?? (type === "boolean" ? true : type === "integer" ? 5_000 : "some");
    const { status, body } = await post({ [name]: value });
    assert.equal(status, 201, name);
    const { properties = {}, required = [] } = schemas.Admission ?? {};
    for (const field of Object.keys(body)) assert.ok(Object.hasOwn(properties, field), field);
    for (const field of required) assert.ok(Object.hasOwn(body, field), field);
  }
  const { status, body } = await post({ unheardOf: 1 });
  assert.deepEqual([status, Object.keys(body)], [400, schemas.Problem?.required]);
});

test("management: the description names every path that answers, and its references lead somewhere", () => {
  const text = JSON.stringify(MANAGEMENT_OPENAPI);
  const { paths, components } = MANAGEMENT_OPENAPI as {
    readonly paths: object;
    readonly components: { readonly schemas: object };
  };
  assert.deepEqual(Object.keys(paths), ["/openapi.json", "/v1/admissions", "/v1/admissions/{id}", "/v1/clients"]);
  for (const [, name] of text.matchAll(/"#\/components\/schemas\/(\w+)"/g)) {
    assert.ok(Object.hasOwn(components.schemas, String(name)), name);
  }
});
