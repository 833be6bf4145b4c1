/**
 * The head of an HTTP/1.1 request, and the bytes of an answer, for runtimes whose own server cannot be given bounds.
 * RFC 9112.
 *
 * The invariant to hold: a head is bounded; what is malformed is no request, and nothing of it reaches the program.
 *
 * @module
 */

import type { HttpRequest, HttpResponse } from "./runtime.ts";

/** Bytes of a request line and all fields. */
export const HEAD_BYTES_MAX: number = 16 * 1024;
const FIELDS_MAX = 100;
const REQUEST_LINE = /^([A-Z]{1,16}) (\/[\x21-\x7e]*) HTTP\/1\.[01]$/;
/** RFC 9110 §5.1 and §5.5. */
const FIELD = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\x20-\x7e\x80-\xff\t]*?)[ \t]*$/;
/** What decides over who may connect must not be said twice. RFC 9112 §3.2. */
const ONCE: readonly string[] = ["host", "origin", "sec-websocket-key", "sec-websocket-version"];

/** Where the head in `bytes` ends, with its empty line; -1 while it has not come. */
export function headEnd(bytes: Uint8Array, from: number): number {
  for (let at = Math.max(3, from); at < bytes.length; at++) {
    if (bytes[at] === 10 && bytes[at - 1] === 13 && bytes[at - 2] === 10 && bytes[at - 3] === 13) return at + 1;
  }
  return -1;
}

/** Reads a head, or returns `undefined` when it is malformed. Names of fields are in lower case. */
export function readRequest(head: Uint8Array): HttpRequest | undefined {
  let text = "";
  for (const byte of head) text += String.fromCharCode(byte);
  const [first = "", ...lines] = text.slice(0, -4).split("\r\n");
  const [, method, path] = REQUEST_LINE.exec(first) ?? [];
  if (method === undefined || path === undefined || lines.length > FIELDS_MAX) return undefined;
  const headers = new Map<string, string>();
  for (const line of lines) {
    const [, field, value] = FIELD.exec(line) ?? [];
    if (field === undefined || value === undefined) return undefined;
    const name = field.toLowerCase();
    const earlier = headers.get(name);
    if (earlier !== undefined && ONCE.includes(name)) return undefined;
    headers.set(name, earlier === undefined ? value : `${earlier}, ${value}`);
  }
  return { method, path, headers };
}

/** Whether a list in a field has a word, whatever its case. RFC 9110 §5.6.1. */
export function hasToken(list: string | undefined, word: string): boolean {
  return list?.split(",").some((item) => item.trim().toLowerCase() === word) === true;
}

/** The bytes of an answer, after which the connection ends. Throws `RangeError` where a field cannot be sent. */
export function encodeResponse({ status, headers = {}, body = "" }: HttpResponse, isHead: boolean): Uint8Array[] {
  const bytes = typeof body === "string" ? new TextEncoder().encode(body) : body;
  const fields = new Map(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
  fields.set("content-length", String(bytes.length)).set("connection", "close");
  const lines = [...fields].map(([name, value]) => {
    const line = `${name}: ${value}`;
    if (!FIELD.test(line)) throw new RangeError(`Cannot send the header field '${name}'`);
    return `${line}\r\n`;
  });
  const head = new TextEncoder().encode(`HTTP/1.1 ${status} \r\n${lines.join("")}\r\n`);
  return isHead || bytes.length === 0 ? [head] : [head, bytes];
}
