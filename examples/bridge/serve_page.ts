/**
 * Bundles the page and serves it with a strict content security policy.
 *
 * @module
 */

import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import type { HttpResponse } from "../../adapters/runtime.ts";

const FOLDER: string = join(dirname(fileURLToPath(import.meta.url)), "web");
const POLICY: string = [
  "default-src 'self'",
  "connect-src 'self' ws: wss:",
  "script-src 'self' 'wasm-unsafe-eval'",
  "style-src 'self'",
  "img-src 'self' data: blob:",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

/** The files of the page by path. */
export type Page = ReadonlyMap<string, { readonly type: string; readonly body: Uint8Array | string }>;

/** Builds the page. */
export async function buildPage(): Promise<Page> {
  const result = await build({
    entryPoints: [join(FOLDER, "main.ts")],
    bundle: true,
    format: "esm",
    target: "es2022",
    minify: true,
    write: false,
    conditions: ["browser"],
    logLevel: "silent",
  });
  const script = result.outputFiles[0]?.text ?? "";
  const html = await readFile(join(FOLDER, "index.html"), "utf8");
  const style = await readFile(join(FOLDER, "style.css"), "utf8");
  return new Map([
    ["/", { type: "text/html; charset=utf-8", body: html }],
    ["/style.css", { type: "text/css; charset=utf-8", body: style }],
    ["/main.js", { type: "text/javascript; charset=utf-8", body: script }],
    ["/favicon.ico", { type: "image/svg+xml", body: ICON }],
  ]);
}

/** Answers a request for one of the page's files. */
export function servePage(page: Page, method: string, path: string): HttpResponse | undefined {
  const file = page.get(path.split("?")[0] as string);
  if (file === undefined) return undefined;
  if (method !== "GET" && method !== "HEAD") return { status: 405, body: "Method not allowed\n" };
  return {
    status: 200,
    headers: {
      "content-type": file.type,
      "content-security-policy": POLICY,
      "cache-control": "no-cache",
      "referrer-policy": "no-referrer",
      "x-content-type-options": "nosniff",
    },
    body: file.body,
  };
}

const ICON = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><path d="M2 24V12h28v12h-5a5 5 0 0 0-9 0 5 5 0 0 0-9 0z" fill="#2f6fde"/></svg>`;
