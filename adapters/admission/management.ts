/**
 * The management interface of a relay over HTTP, for the servers of games and apps: they ask for admissions and names
 * before their clients join. A function from `Request` to `Response`, to be put behind any server: `Deno.serve`,
 * `Bun.serve`, or `node:http` as `viaduct relay --manage` does. Its description is `MANAGEMENT_OPENAPI`.
 *
 * The invariant to hold: nothing is done or told without the secret but the description; what is read is bounded, and
 * no admission is in an address, an error or a log.
 *
 * @module
 */

import { equalBytes } from "../../core/crypto/constant_time.ts";
import { nobleProvider } from "../../core/crypto/noble_provider.ts";
import { ViaductError } from "../../core/error.ts";
import { isExactPattern } from "../../core/relay/name_pattern.ts";
import { RateTable } from "../../core/relay/rate_table.ts";
import { RANDOM_NAME_BYTES, randomName } from "../../core/relay/relay_name.ts";
import { parseRfc3339 } from "../../core/relay/rfc3339.ts";
import { decodeUtf8, encodeUtf8 } from "../../core/wire/utf8.ts";
import type { RelayHandle } from "../api/create_relay.ts";
import { MANAGEMENT_OPENAPI } from "./openapi.ts";
import type { IssueOptions } from "./operator.ts";
import { issueAdmission, readOperatorKey } from "./operator.ts";

const BODY_BYTES_MAX = 16 * 1024;
/** A body that has not come by then is given up. */
const BODY_TIMEOUT_MS = 10_000;
const SECRET_LENGTH_MIN = 32;
/** Wrong secrets in a minute before all are refused for a minute; the right one is not guessed at any rate. */
const FAILURES_PER_MINUTE = 60;
const MINUTE_MS = 60_000;

const REQUEST_FIELDS: ReadonlySet<string> = new Set([
  ...["id", "expiresInMs", "assignName", "name", "holder", "audience", "namespace", "type", "targets", "uses"],
  ...["bytesPerSecond", "burstBytes", "circuitsMax", "incomingCircuitsMax"],
]);

/** What the management interface is made from. */
export interface ManagementOptions {
  /** The relay that is managed. */
  readonly relay: Pick<RelayHandle, "revoke" | "ticket" | "topology">;
  /** The operator's key, `k4.secret.…`: its public key is in the relay's policy. */
  readonly key: string;
  /** What callers show as `Authorization: Bearer`: at least 32 letters. */
  readonly secret: string;
}

/** Makes the interface. Throws `ViaductError` with code `key_file`, or `RangeError` for a short secret. */
export function managementOf(options: ManagementOptions): (request: Request) => Promise<Response> {
  const { relay, secret } = options;
  if (secret.length < SECRET_LENGTH_MIN) {
    throw new RangeError(`Cannot manage a relay as the secret has fewer than ${SECRET_LENGTH_MIN} letters`);
  }
  const key = readOperatorKey(options.key).secret;
  const digest = digestOf(secret);
  const failures = new RateTable({ count: FAILURES_PER_MINUTE, windowMs: MINUTE_MS, blockMs: MINUTE_MS }, 1);
  return async (request) => {
    try {
      const { pathname, searchParams } = new URL(request.url);
      if (pathname === "/openapi.json" && request.method === "GET") return json(200, MANAGEMENT_OPENAPI);
      const shown = /^Bearer ([\x21-\x7e]{1,512})$/.exec(request.headers.get("authorization") ?? "")?.[1];
      const now = performance.now();
      const isRight = shown !== undefined && equalBytes(digestOf(shown), digest);
      if (!isRight) {
        if (failures.isExceeded("", now)) return problem(429, "quota", "Too many wrong secrets");
        if (shown !== undefined) failures.allow("", now);
        return problem(401, "token_refused", "The secret is missing or wrong", { "www-authenticate": "Bearer" });
      }
      return await answer(request, { path: pathname, query: searchParams }, relay, key);
    } catch (error) {
      if (error instanceof Refusal) return problem(error.status, error.code, error.message);
      return problem(500, "internal", "Internal error");
    }
  };
}

class Refusal extends Error {
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

async function answer(
  request: Request,
  { path, query }: { readonly path: string; readonly query: URLSearchParams },
  relay: ManagementOptions["relay"],
  key: string,
): Promise<Response> {
  const { method } = request;
  if (path === "/v1/admissions") {
    if (method !== "POST") return notAllowed("POST");
    return issue(await bodyOf(request), relay, key);
  }
  const id = /^\/v1\/admissions\/([^/]{1,64})$/.exec(path)?.[1];
  if (id !== undefined) {
    if (method !== "DELETE") return notAllowed("DELETE");
    return revoke(id, query.get("expiresAt") ?? undefined, relay);
  }
  if (path === "/v1/clients") return method === "GET" ? clients(relay) : notAllowed("GET");
  return problem(404, "unknown_name", "There is nothing of that name here");
}

function issue(body: unknown, relay: ManagementOptions["relay"], key: string): Response {
  if (typeof body !== "object" || body === null || Array.isArray(body)) throw invalid("the body is no JSON object");
  for (const field of Object.keys(body)) if (!REQUEST_FIELDS.has(field)) throw invalid(`'${field}' is not known`);
  const { assignName, ...asked } = body as IssueOptions & { readonly assignName?: unknown };
  if (assignName !== undefined && typeof assignName !== "boolean")
    throw invalid("'assignName' is neither true nor false");
  if (assignName === true && asked.name !== undefined) throw invalid("'assignName' and 'name' exclude each other");
  const { expiresInMs } = asked;
  if (expiresInMs !== undefined && !Number.isSafeInteger(expiresInMs))
    throw invalid("'expiresInMs' is no whole number");
  const name = assignName === true ? randomName(crypto.getRandomValues(new Uint8Array(RANDOM_NAME_BYTES))) : asked.name;
  try {
    const options = { ...asked, ...(name === undefined ? {} : { name }) };
    const { admission, id, expiresAtUnixMs } = issueAdmission(options, key);
    const isNamed = name !== undefined && isExactPattern(name);
    const expiresAt = new Date(expiresAtUnixMs).toISOString();
    return json(201, { admission, id, ...(isNamed ? { name } : {}), expiresAt, relay: relay.ticket() });
  } catch (error) {
    if (error instanceof RangeError) throw invalid(error.message);
    throw error;
  }
}

function revoke(id: string, expiresAt: string | undefined, relay: ManagementOptions["relay"]): Response {
  const untilUnixMs = expiresAt === undefined ? undefined : parseRfc3339(expiresAt);
  if (expiresAt !== undefined && untilUnixMs === undefined) throw invalid("'expiresAt' is no instant of RFC 3339");
  try {
    relay.revoke(id, untilUnixMs === undefined ? {} : { untilUnixMs });
  } catch (error) {
    if (error instanceof RangeError) throw invalid(error.message);
    if (error instanceof ViaductError && error.code === "limit") throw new Refusal(507, "limit", error.message);
    throw error;
  }
  return new Response(null, { status: 204, headers: { "cache-control": "no-store" } });
}

function clients(relay: ManagementOptions["relay"]): Response {
  const topology = relay.topology();
  return json(200, {
    clients: topology.clients.map((client) => ({
      id: client.id,
      name: client.name,
      clientClass: client.clientClass,
      nodeType: client.nodeType,
      namespace: client.namespace,
      admissionId: client.tokenId,
      joinedAt: new Date(client.joinedAtUnixMs).toISOString(),
      isSuspended: client.isSuspended,
      circuits: client.circuits,
      bytesForwarded: client.bytesForwarded,
    })),
    isTruncated: topology.isTruncated,
  });
}

/** The body as JSON, of at most 16 KiB that come within 10 s. */
async function bodyOf(request: Request): Promise<unknown> {
  if (!/^application\/json(?:;|$)/i.test(request.headers.get("content-type") ?? "")) {
    throw new Refusal(415, "message_invalid", "The body must be application/json");
  }
  const reader = request.body?.getReader();
  if (reader === undefined) throw invalid("there is no body");
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Refusal(408, "timeout", "The body did not come in time")), BODY_TIMEOUT_MS);
  });
  const chunks: Uint8Array[] = [];
  let length = 0;
  try {
    for (;;) {
      const { done, value } = await Promise.race([reader.read(), late]);
      if (done) break;
      length += value.length;
      if (length > BODY_BYTES_MAX) throw new Refusal(413, "message_too_large", "The body is longer than 16 KiB");
      chunks.push(value);
    }
  } catch (error) {
    void reader.cancel().catch(() => undefined);
    throw error;
  } finally {
    clearTimeout(timer);
  }
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  try {
    return JSON.parse(decodeUtf8(bytes) ?? "") as unknown;
  } catch {
    throw invalid("the body is no JSON");
  }
}

function digestOf(secret: string): Uint8Array {
  return nobleProvider.sha256(encodeUtf8(secret));
}

function invalid(why: string): Refusal {
  return new Refusal(400, "message_invalid", why);
}

function notAllowed(allow: string): Response {
  return problem(405, "unsupported", `Only ${allow} is allowed here`, { allow });
}

function problem(status: number, error: string, message: string, headers: Record<string, string> = {}): Response {
  return json(status, { error, message }, headers);
}

function json(status: number, value: unknown, headers: Record<string, string> = {}): Response {
  return new Response(`${JSON.stringify(value)}\n`, {
    status,
    headers: { "content-type": "application/json", "cache-control": "no-store", ...headers },
  });
}
