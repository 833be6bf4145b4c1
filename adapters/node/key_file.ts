/**
 * Identities in files of their owner alone. THREATS A-disk.
 *
 * @module
 */

import { randomUUID } from "node:crypto";
import { chmod, link, mkdir, open, readFile, rm, stat } from "node:fs/promises";
import { dirname } from "node:path";
import process from "node:process";
import { ViaductError } from "../../core/error.ts";
import { decodeKeyText, encodeKeyText } from "../key_text.ts";
import type { KeyStore } from "../runtime.ts";

const FILE_BYTES_MAX = 1024;
const GROUP_AND_OTHERS = 0o077;

/** Keys in files; the name of a key is its path. */
export const keyFiles: KeyStore = {
  async loadOrCreate(name, random) {
    const known = await load(name);
    if (known !== undefined) return known;
    const seed = new Uint8Array(32);
    random(seed);
    await create(name, encodeKeyText(seed));
    // Another process may have been first: both go on with what is in the file.
    const stored = await load(name);
    if (stored === undefined) throw new ViaductError("key_file", { detail: `'${name}' vanished` });
    return stored;
  },
};

async function load(path: string): Promise<Uint8Array | undefined> {
  try {
    const facts = await stat(path);
    if (!facts.isFile() || facts.size > FILE_BYTES_MAX) {
      throw new ViaductError("key_file", { detail: `'${path}' is not a key file` });
    }
    if (process.platform !== "win32" && (facts.mode & GROUP_AND_OTHERS) !== 0) {
      throw new ViaductError("key_file", { detail: `'${path}' can be read by others: run chmod 600 '${path}'` });
    }
    return decodeKeyText(await readFile(path, "utf8"), path);
  } catch (error) {
    if ((error as { code?: unknown }).code === "ENOENT") return undefined;
    throw asKeyError(error, path);
  }
}

/** The file appears whole or not at all, and never replaces one: written aside, then linked. */
async function create(path: string, text: string): Promise<void> {
  const aside = `${path}.${randomUUID()}.new`;
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    const file = await open(aside, "wx", 0o600);
    try {
      await chmod(aside, 0o600); // Whatever the umask took away or left.
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await link(aside, path).catch((error: { code?: unknown }) => {
      if (error.code !== "EEXIST") throw error;
    });
  } catch (error) {
    throw asKeyError(error, path);
  } finally {
    await rm(aside, { force: true }).catch(() => undefined);
  }
}

function asKeyError(error: unknown, path: string): ViaductError {
  if (error instanceof ViaductError) return error;
  const { code } = error as { code?: unknown };
  const message = error instanceof Error ? error.message : String(error);
  const detail =
    code === "EACCES" || code === "EPERM"
      ? `'${path}': permission denied: become its owner with chown, or name another file`
      : `'${path}': ${message}`;
  return new ViaductError("key_file", { cause: error, detail });
}
