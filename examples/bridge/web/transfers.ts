/**
 * Files of the page: sending, receiving, progress, resuming.
 *
 * @module
 */

import type { Node, NodeId, Peer, Stream } from "../../../adapters/api/types.ts";
import { ViaductError } from "../../../core/error.ts";
import type { FileFacts, FileProgress, FileSource } from "../../../protocols/file.ts";
import { acceptOffer, FILE_PROTOCOL, offerFile, readFileRequest, refuseFile } from "../../../protocols/file.ts";
import { byId, formatBytes, formatDuration, make } from "./elements.ts";
import type { People } from "./people.ts";
import { openPrivateFile } from "./private_files.ts";

/** What is worth a try of its own accord: the session ended, not the transfer. */
const PASSING: ReadonlySet<string> = new Set(["session_lost", "resume_timeout", "going_away", "closed", "truncated"]);
const TRIES_MAX = 5;

/** One transfer as it is shown. */
class Card {
  readonly element: HTMLLIElement;
  readonly #bar: HTMLProgressElement = make("progress", { attributes: { max: "1", value: "0" } });
  readonly #figures: HTMLParagraphElement = make("p");
  readonly #state: HTMLParagraphElement = make("p", { className: "state", attributes: { role: "status" } });
  readonly actions: HTMLDivElement = make("div", { className: "actions" });

  constructor(facts: FileFacts, title: string) {
    this.element = make("li", { attributes: { "data-name": facts.name, "data-state": "waiting" } });
    this.#bar.setAttribute("aria-label", `Progress of ${facts.name}`);
    this.element.append(make("strong", { text: title }), this.#bar, this.#figures, this.#state, this.actions);
    byId<HTMLUListElement>("transfers").prepend(this.element);
  }

  set(state: "waiting" | "active" | "done" | "failed", text: string): void {
    this.element.dataset.state = state;
    this.#state.textContent = text;
  }

  progress({ size, bytes, bytesPerSecond, remainingMs, resumedBytes }: FileProgress): void {
    this.element.dataset.state = "active";
    this.#bar.value = size === 0 ? 1 : bytes / size;
    const rest = remainingMs === undefined || bytes === size ? "" : `, ${formatDuration(remainingMs)} left`;
    const resumed = resumedBytes > 0 ? `, resumed at ${formatBytes(resumedBytes)}` : "";
    const part = `${formatBytes(bytes)} of ${formatBytes(size)}`;
    this.#figures.textContent = `${part}, ${formatBytes(bytesPerSecond)}/s${rest}${resumed}`;
  }

  button(text: string, act: () => void, testId: string): void {
    const button = make("button", { className: "plain", text, attributes: { type: "button", "data-testid": testId } });
    button.addEventListener("click", act);
    this.actions.append(button);
  }
}

/** The transfers. */
export class Transfers {
  readonly #node: Node;
  readonly #people: People;
  readonly #autoAccept: HTMLInputElement = byId("auto-accept");

  constructor(node: Node, people: People) {
    this.#node = node;
    this.#people = people;
    node.handle(FILE_PROTOCOL, (stream, peer) => this.#receive(stream, peer));
    const input: HTMLInputElement = byId("file");
    input.addEventListener("change", () => {
      for (const file of input.files ?? []) this.#begin(file);
      input.value = "";
    });
    const drop: HTMLElement = byId("drop");
    for (const type of ["dragover", "dragleave", "drop"]) {
      drop.addEventListener(type, (event) => {
        event.preventDefault();
        drop.classList.toggle("over", type === "dragover");
        if (type === "drop") for (const file of (event as DragEvent).dataTransfer?.files ?? []) this.#begin(file);
      });
    }
  }

  #begin(file: File): void {
    const bridge = this.#people.others.find(({ name }) => name === "bridge");
    const to = this.#people.chosen ?? bridge?.id;
    const source = blobSource(file);
    const card = new Card(source, `${file.name} to ${this.#people.nameOf(to)}`);
    if (to === undefined) card.set("failed", "Nobody is there: choose somebody first");
    else void this.#send(to, source, card);
  }

  async #send(to: NodeId, source: FileSource, card: Card): Promise<void> {
    const cancel = new AbortController();
    card.actions.replaceChildren();
    card.button("Cancel", () => cancel.abort(new ViaductError("aborted")), "cancel");
    for (let tries = 1; ; tries++) {
      try {
        card.set("waiting", "Waiting for the other side to accept");
        const peer = await this.#node.connect(to, { signal: cancel.signal });
        const stream = await peer.open(FILE_PROTOCOL);
        cancel.signal.addEventListener("abort", () => stream.reset(), { once: true });
        const result = await offerFile(stream, source, {
          signal: cancel.signal,
          onProgress: (progress) => {
            card.progress(progress);
            card.set("active", peer.state === "suspended" ? "Waiting for the connection" : "Sending");
          },
        });
        card.element.dataset.sha256 = result.sha256;
        card.set("done", `Sent, hashes are equal: SHA-256 ${result.sha256}`);
        card.actions.replaceChildren();
        return;
      } catch (error) {
        const code = error instanceof ViaductError ? error.code : undefined;
        if (code !== undefined && PASSING.has(code) && tries < TRIES_MAX) continue;
        card.set("failed", textOf(error));
        card.actions.replaceChildren();
        card.button("Resume", () => void this.#send(to, source, card), "resume");
        return;
      }
    }
  }

  async #receive(stream: Stream, peer: Peer): Promise<void> {
    const { request, rest } = await readFileRequest(stream);
    if (request.op !== "offer") {
      await refuseFile(stream, "This page sends files by itself only");
      return;
    }
    const from = this.#people.nameOf(peer.id);
    const card = new Card(request, `${request.name} (${formatBytes(request.size)}) from ${from}`);
    if (!this.#autoAccept.checked && !(await askFor(card))) {
      card.set("failed", "Declined");
      await refuseFile(stream, "Declined");
      return;
    }
    const sink = await openPrivateFile(request).catch(async (error: unknown) => {
      card.set("failed", textOf(error));
      await refuseFile(stream, textOf(error));
      throw error;
    });
    card.button("Cancel", () => stream.stop(), "cancel");
    try {
      const result = await acceptOffer(stream, rest, request, sink, {
        onProgress: (progress) => {
          card.progress(progress);
          card.set("active", "Receiving");
        },
      });
      card.element.dataset.sha256 = result.sha256;
      card.set("done", `Received, hashes are equal: SHA-256 ${result.sha256}`);
      card.actions.replaceChildren();
      const url = URL.createObjectURL(await sink.file());
      const link = make("a", {
        text: "Save",
        attributes: { href: url, download: request.name, "data-testid": "save" },
      });
      card.actions.append(link);
    } catch (error) {
      card.set("failed", `${textOf(error)} What arrived is kept: it goes on when the sender resumes.`);
      card.actions.replaceChildren();
      throw error;
    }
  }
}

function askFor(card: Card): Promise<boolean> {
  card.set("waiting", "Accept it?");
  return new Promise((resolve) => {
    const answer = (isAccepted: boolean): void => {
      card.actions.replaceChildren();
      resolve(isAccepted);
    };
    card.button("Accept", () => answer(true), "accept");
    card.button("Decline", () => answer(false), "decline");
  });
}

/** A file that the user picked, read piece by piece. Its id follows from what it is, so that a retry goes on. */
function blobSource(file: File): FileSource {
  let id = 0xcbf29ce4;
  for (const letter of `${file.name} ${file.size} ${file.lastModified}`) {
    id = Math.imul(id ^ (letter.codePointAt(0) as number), 0x01000193) >>> 0;
  }
  return {
    id: `${id.toString(16)}-${file.size.toString(16)}-${file.lastModified.toString(16)}`,
    name: file.name,
    size: file.size,
    read: async (offset, length) => {
      try {
        return new Uint8Array(await file.slice(offset, offset + length).arrayBuffer());
      } catch (error) {
        throw new ViaductError("file_changed", { cause: error, detail: file.name });
      }
    },
  };
}

function textOf(error: unknown): string {
  return error instanceof Error ? `${error.message}.` : String(error);
}
