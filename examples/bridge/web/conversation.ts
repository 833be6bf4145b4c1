/**
 * The chat of the page: lines that came and lines of one's own, with their marks.
 *
 * @module
 */

import type { Node, NodeId } from "../../../adapters/api/types.ts";
import { Chat, type ChatLine } from "../../../protocols/chat.ts";
import { byId, make } from "./elements.ts";
import type { People } from "./people.ts";

const LINES_MAX = 1_000;

/** The chat. */
export class Conversation {
  readonly #chat: Chat;
  readonly #node: Node;
  readonly #log: HTMLOListElement = byId("log");
  readonly #input: HTMLTextAreaElement = byId("line");
  readonly #pending = new Map<string, { mark: HTMLElement; waiting: number; all: number }>();
  people: People | undefined;

  constructor(node: Node) {
    this.#node = node;
    this.#chat = new Chat({
      node,
      name: () => node.name ?? node.id.slice(0, 8),
      prefix: Date.now().toString(36),
      handlers: {
        onLine: (line) => this.#show(line, false),
        onDelivered: (id) => this.#onDelivered(id),
      },
    });
    const form: HTMLFormElement = byId("say");
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#say();
    });
    this.#input.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.#say();
    });
  }

  /** Lines that wait for a node go when it is there. */
  retry(id: NodeId): void {
    this.#chat.retry(id);
  }

  /** A remark of the page itself. */
  note(text: string): void {
    this.#append(make("li", { className: "note", text }));
  }

  #say(): void {
    const text = this.#input.value.trim();
    if (text === "") return;
    const chosen = this.people?.chosen;
    const to = chosen === undefined ? (this.people?.others.map(({ id }) => id) ?? []) : [chosen];
    if (to.length === 0) {
      this.note("Nobody else is here yet.");
      return;
    }
    this.#input.value = "";
    const line = this.#chat.say(text, to);
    this.#show(line, true, to.length);
  }

  #show(line: ChatLine, isMine: boolean, recipients = 0): void {
    const item = make("li", { className: isMine ? "mine" : "", attributes: { "data-line-id": line.id } });
    const time = new Date(line.sentAtUnixMs).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
    const head = make("small", { text: isMine ? `You, ${time}` : `${line.name || line.from.slice(0, 8)}, ${time}` });
    item.append(head, make("span", { text: line.text }));
    if (isMine) {
      const mark = make("small", { text: "sending", attributes: { "data-mark": "sending" } });
      item.append(mark);
      this.#pending.set(line.id, { mark, waiting: recipients, all: recipients });
    }
    this.#append(item);
  }

  #onDelivered(id: string): void {
    const pending = this.#pending.get(id);
    if (pending === undefined) return;
    pending.waiting--;
    const { waiting, all, mark } = pending;
    mark.textContent = waiting === 0 ? "delivered" : `delivered to ${all - waiting} of ${all}`;
    if (waiting > 0) return;
    mark.dataset.mark = "delivered";
    this.#pending.delete(id);
  }

  #append(item: HTMLLIElement): void {
    const isAtEnd = this.#log.scrollHeight - this.#log.scrollTop - this.#log.clientHeight < 60;
    this.#log.append(item);
    while (this.#log.childElementCount > LINES_MAX) this.#log.firstElementChild?.remove();
    if (isAtEnd) this.#log.scrollTop = this.#log.scrollHeight;
  }

  get name(): string {
    return this.#node.name ?? "";
  }
}
