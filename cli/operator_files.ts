/**
 * Files of an operator: the key that signs admissions, the secret of the management interface, admissions themselves,
 * and the list of what was revoked.
 *
 * The invariant to hold: what is secret is in files of their owner alone, is never replaced, and never in an error; the
 * list of what was revoked is replaced whole, by one writer at a time.
 *
 * @module
 */

import { closeSync, mkdirSync, openSync, readFileSync, rmSync, statSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import process from "node:process";
import type { OperatorKey } from "../adapters/admission/mod.ts";
import {
  createOperatorKey,
  type RevocationList,
  readOperatorKey,
  readRevocationList,
} from "../adapters/admission/mod.ts";
import { stateFile } from "../adapters/node/state_file.ts";
import { ViaductError } from "../core/error.ts";

const SECRET_BYTES_MAX = 4096;
/** A full list has about 5 MB. */
const LIST_BYTES_MAX = 16 * 1024 * 1024;
const GROUP_AND_OTHERS = 0o077;
/** What an admission begins with. */
const ADMISSION_HEADER = "v4.public.";

/** Reads a text of at most so many bytes. Throws `ViaductError`. */
export function readText(path: string, bytesMax: number): string {
  try {
    const { size } = statSync(path);
    if (size > bytesMax)
      throw new ViaductError("config_invalid", { detail: `'${path}' has more than ${bytesMax} bytes` });
    return readFileSync(path, "utf8");
  } catch (error) {
    if (error instanceof ViaductError) throw error;
    const isMissing = isErrno(error, "ENOENT");
    throw new ViaductError(isMissing ? "file_missing" : "file_io", {
      cause: error,
      detail: `'${path}': ${textOf(error)}`,
    });
  }
}

/** The key in a file. Throws `ViaductError` with code `key_file`. */
export function loadOperatorKey(path: string): OperatorKey {
  return readOperatorKey(readSecret(path));
}

/** Makes a key in a new file of its owner alone. Throws `ViaductError` with code `key_file` when there is one. */
export function createOperatorKeyFile(path: string): OperatorKey {
  const key = createOperatorKey();
  writeSecret(path, key.secret);
  return key;
}

/** The secret in a file, made when it is missing: 43 letters of 256 random bits. */
export function loadOrCreateSecret(path: string): string {
  try {
    return readSecret(path).trim();
  } catch (error) {
    if (!(error instanceof ViaductError && isErrno(error.cause, "ENOENT"))) throw error;
  }
  const bytes = crypto.getRandomValues(new Uint8Array(32));
  const secret = Buffer.from(bytes).toString("base64url");
  writeSecret(path, secret);
  return secret;
}

/** The admission that an argument is, or that is in the file of that name. */
export function admissionOf(argument: string): string {
  return argument.startsWith(ADMISSION_HEADER) ? argument : readText(argument, SECRET_BYTES_MAX).trim();
}

/** The list in a file; an empty one where there is none, unless there must be one. */
export function loadRevocations(path: string, options: { readonly mustExist?: boolean } = {}): RevocationList {
  let text: string;
  try {
    text = readText(path, LIST_BYTES_MAX);
  } catch (error) {
    const isMissing = error instanceof ViaductError && error.code === "file_missing";
    if (isMissing && options.mustExist !== true) return readRevocationList("");
    throw error;
  }
  return readRevocationList(text);
}

/** Changes the list in a file. Another process that does the same at this time makes it fail, not lose anything. */
export async function changeRevocations(path: string, change: (list: RevocationList) => void): Promise<void> {
  const lock = `${path}.lock`;
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    closeSync(openSync(lock, "wx", 0o600));
  } catch (error) {
    const isHeld = isErrno(error, "EEXIST");
    const detail = isHeld ? `'${lock}' says that it is being written: remove that if nobody is` : textOf(error);
    throw new ViaductError("file_io", { cause: error, detail });
  }
  try {
    const list = loadRevocations(path);
    change(list);
    await stateFile(path).save(new TextEncoder().encode(list.encode()));
  } finally {
    rmSync(lock, { force: true });
  }
}

function readSecret(path: string): string {
  try {
    const facts = statSync(path);
    if (!facts.isFile() || facts.size > SECRET_BYTES_MAX) {
      throw new ViaductError("key_file", { detail: `'${path}' is not a key file` });
    }
    if (process.platform !== "win32" && (facts.mode & GROUP_AND_OTHERS) !== 0) {
      throw new ViaductError("key_file", { detail: `'${path}' can be read by others: run chmod 600 '${path}'` });
    }
    return readFileSync(path, "utf8");
  } catch (error) {
    if (error instanceof ViaductError) throw error;
    throw new ViaductError("key_file", { cause: error, detail: `'${path}': ${textOf(error)}` });
  }
}

function writeSecret(path: string, text: string): void {
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    const file = openSync(path, "wx", 0o600);
    try {
      writeSync(file, `${text}\n`);
    } finally {
      closeSync(file);
    }
  } catch (error) {
    const detail = isErrno(error, "EEXIST") ? `'${path}' exists: it is not replaced` : `'${path}': ${textOf(error)}`;
    throw new ViaductError("key_file", { cause: error, detail });
  }
}

function isErrno(error: unknown, code: string): boolean {
  return typeof error === "object" && error !== null && (error as { code?: unknown }).code === code;
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
