/**
 * Files of `file/1` on this machine's disk.
 *
 * The invariant to hold: what arrives is written aside (`NAME.part`) and becomes `NAME` only when its hash was right;
 * an
 * existing file is never overwritten.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { type FileHandle, link, open, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { ViaductError } from "../core/error.ts";
import type { FileFacts, FileSink, FileSource, Hasher } from "../protocols/file.ts";

/** A native hasher. */
export function nativeHasher(): Hasher {
  const hash = createHash("sha256");
  return {
    update: (bytes) => {
      hash.update(bytes);
    },
    digest: () => hash.digest(),
  };
}

/** A file to be sent; close it afterwards. */
export interface OpenSource extends FileSource, AsyncDisposable {}

/** Opens a file to be sent. Its id follows from name, size and time, so that a restarted sender offers the same. */
export async function openSource(path: string): Promise<OpenSource> {
  let handle: FileHandle;
  try {
    handle = await open(path, "r");
  } catch (error) {
    throw fileFailure(error, path);
  }
  const facts = await handle.stat();
  if (!facts.isFile()) {
    await handle.close();
    throw new ViaductError("file_missing", { detail: `'${path}' is not a file` });
  }
  const name = basename(path);
  const id = createHash("sha256").update(`${name} ${facts.size} ${facts.mtimeMs}`).digest("hex").slice(0, 32);
  return {
    id,
    name,
    size: facts.size,
    async read(offset, length) {
      try {
        const buffer = new Uint8Array(length);
        let count = 0;
        while (count < length) {
          const { bytesRead } = await handle.read(buffer, count, length - count, offset + count);
          if (bytesRead === 0) break;
          count += bytesRead;
        }
        const now = await handle.stat();
        if (now.size !== facts.size || now.mtimeMs !== facts.mtimeMs) {
          throw new ViaductError("file_changed", { detail: `'${path}' was written to while it was sent` });
        }
        if (now.nlink === 0)
          throw new ViaductError("file_missing", { detail: `'${path}' was deleted while it was sent` });
        return buffer.subarray(0, count);
      } catch (error) {
        throw fileFailure(error, path);
      }
    },
    [Symbol.asyncDispose]: () => handle.close(),
  };
}

/** Opens the place where a file goes, with what an earlier try of the same transfer left there. */
export async function openSink(
  directory: string,
  facts: FileFacts,
  name?: string,
): Promise<FileSink & { path: string }> {
  const path = join(directory, name ?? facts.name);
  const part = `${path}.part`;
  const note = `${path}.part.id`;
  try {
    const isSame = (await readFile(note, "utf8").catch(() => "")) === facts.id;
    if (!isSame) await rm(part, { force: true });
    await writeFile(note, facts.id);
    const handle = await open(part, isSame ? "a+" : "w+");
    let size = (await handle.stat()).size;
    if (size > facts.size) {
      await handle.truncate(0);
      size = 0;
    }
    const end = async (): Promise<void> => {
      await handle.close();
    };
    return {
      path,
      keptBytes: size,
      async readKept(offset, length) {
        const buffer = new Uint8Array(length);
        const { bytesRead } = await handle.read(buffer, 0, length, offset);
        return buffer.subarray(0, bytesRead);
      },
      async write(bytes) {
        try {
          let at = 0;
          while (at < bytes.length) at += (await handle.write(bytes, at)).bytesWritten;
        } catch (error) {
          throw fileFailure(error, part);
        }
      },
      async finish() {
        try {
          await handle.sync();
          await end();
          await moveTo(part, path);
          await rm(note, { force: true });
        } catch (error) {
          throw fileFailure(error, path);
        }
      },
      async abort(isDiscarded) {
        await end().catch(() => undefined);
        if (!isDiscarded) return;
        await rm(part, { force: true });
        await rm(note, { force: true });
      },
    };
  } catch (error) {
    throw fileFailure(error, path);
  }
}

/** What an earlier try left of a transfer that is not known yet: its size, to ask for the rest. */
export async function keptBytes(directory: string, name: string): Promise<number> {
  return await stat(join(directory, `${name}.part`)).then(
    (facts) => facts.size,
    () => 0,
  );
}

/** Gives the finished file its name, or one with a number when the name is taken. */
async function moveTo(part: string, path: string): Promise<void> {
  try {
    await link(part, path);
    await rm(part);
  } catch (error) {
    const { code } = error as { code?: string };
    if (code === "EEXIST")
      throw new ViaductError("file_io", { detail: `'${path}' exists already; what arrived is '${part}'` });
    // File systems without hard links.
    await rename(part, path);
  }
}

/** Turns what the file system says into a code that says what to do. */
export function fileFailure(error: unknown, path: string): ViaductError {
  if (error instanceof ViaductError) return error;
  const { code } = error as { code?: string };
  const detail = `'${path}': ${error instanceof Error ? error.message : String(error)}`;
  if (code === "ENOENT") return new ViaductError("file_missing", { cause: error, detail: `'${path}'` });
  if (code === "ENOSPC" || code === "EDQUOT")
    return new ViaductError("disk_full", { cause: error, detail: `'${path}'` });
  if (code === "EACCES" || code === "EPERM") return new ViaductError("permission", { cause: error, detail });
  return new ViaductError("file_io", { cause: error, detail });
}
