/**
 * A file that holds a program's state whole: replaced at once, never written in place. For Node, Deno and Bun.
 *
 * @module
 */

import { mkdir, open, readFile, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { ViaductError } from "../../core/error.ts";
import type { StateStore } from "../api/relay_state.ts";

/**
 * The state kept at `path`. One process at a time may save there. Loading rejects with `file_io`, saving with that or
 * `disk_full`.
 */
export function stateFile(path: string): StateStore {
  return {
    async load() {
      try {
        return new Uint8Array(await readFile(path));
      } catch (error) {
        if ((error as { code?: unknown }).code === "ENOENT") return undefined;
        throw asFileError(error, path);
      }
    },
    async save(bytes) {
      const aside = `${path}.new`;
      try {
        await mkdir(dirname(path), { recursive: true, mode: 0o700 });
        const file = await open(aside, "w", 0o600);
        try {
          await file.writeFile(bytes);
          await file.sync();
        } finally {
          await file.close();
        }
        await rename(aside, path);
      } catch (error) {
        await rm(aside, { force: true }).catch(() => undefined);
        throw asFileError(error, path);
      }
    },
  };
}

function asFileError(error: unknown, path: string): ViaductError {
  const isFull = (error as { code?: unknown }).code === "ENOSPC";
  const message = error instanceof Error ? error.message : String(error);
  return new ViaductError(isFull ? "disk_full" : "file_io", { cause: error, detail: `'${path}': ${message}` });
}
