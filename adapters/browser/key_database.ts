/**
 * Identities in IndexedDB: of one origin, unseen by others. https://www.w3.org/TR/IndexedDB/
 *
 * @module
 */

import { ViaductError } from "../../core/error.ts";
import type { KeyStore } from "../runtime.ts";

const DATABASE = "viaduct";
const STORE = "keys";
const SEED_BYTES = 32;

/** Keys by name in IndexedDB. */
export const keyDatabase: KeyStore = {
  async loadOrCreate(name, random) {
    const database = await open();
    try {
      const fresh = new Uint8Array(SEED_BYTES);
      random(fresh);
      return await loadOrStore(database, name, fresh);
    } finally {
      database.close();
    }
  },
};

function open(): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const fail = (cause: unknown): void => {
      reject(
        new ViaductError("key_file", { cause, detail: "IndexedDB is not available: a private window, or blocked" }),
      );
    };
    try {
      const request = indexedDB.open(DATABASE, 1);
      request.onupgradeneeded = () => request.result.createObjectStore(STORE);
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => fail(request.error);
      request.onblocked = () => fail(new Error("blocked"));
    } catch (error) {
      fail(error);
    }
  });
}

/** One transaction: two tabs that begin at once end with the same key. */
function loadOrStore(database: IDBDatabase, name: string, fresh: Uint8Array): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const transaction = database.transaction(STORE, "readwrite");
    const store = transaction.objectStore(STORE);
    let seed: unknown = fresh;
    const request = store.get(name);
    request.onsuccess = () => {
      if (request.result === undefined) store.put(fresh, name);
      else seed = request.result;
    };
    transaction.oncomplete = () => {
      if (seed instanceof Uint8Array && seed.length === SEED_BYTES) resolve(seed);
      else reject(new ViaductError("key_file", { detail: `The key '${name}' in IndexedDB is damaged` }));
    };
    transaction.onerror = transaction.onabort = () => {
      reject(new ViaductError("key_file", { cause: transaction.error, detail: "IndexedDB could not store the key" }));
    };
  });
}
