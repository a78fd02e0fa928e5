// One greenlet's details, in the drawer, on its own page or beside the spawn form: a server-rendered fragment whose parts
// are replaced one by one when they differ.

import { base, find, fragment, h, replaceParts } from "./dom.js";

/** After so long it is said that an answer is awaited; before, a word would only flicker. */
const SLOW_MS = 250;

export class Detail {
  /** @param {HTMLElement} root @param {() => string} close where the close button leads, "" for none @param {1 | 2} [level] of the heading */
  constructor(root, close, level = 2) {
    this.level = String(level);
    this.root = root;
    this.close = close;
    this.id = find("article.detail", root)?.dataset.greenlet ?? "";
    this.busy = false;
    this.timer = 0;
    this.patience = 0;
  }

  /** Show one greenlet; one that was spawned a moment ago may take a tick or two to be known. @param {string} id @param {boolean} [young] */
  async show(id, young = false) {
    this.id = id;
    this.patience = young ? 20 : 0;
    const slow = setTimeout(() => id === this.id && this.#say(`Looking at greenlet ${id}…`), SLOW_MS);
    await this.refresh(true);
    clearTimeout(slow);
  }

  /** @param {string} sentence */
  #say(sentence) {
    this.root.replaceChildren(h("p", { class: "empty", role: "status" }, sentence));
  }

  hide() {
    this.id = "";
    this.stop();
    this.root.replaceChildren();
  }

  /** Fetch and show what is so now. @param {boolean} [whole] */
  async refresh(whole = false) {
    if (!this.id || (this.busy && !whole)) return;
    this.busy = true;
    const id = this.id, close = this.close();
    try {
      const { ok, status, content } = await fragment(`${base}/greenlets/${id}?${new URLSearchParams({ fragment: "1", close, level: this.level, ...(this.patience > 0 && { young: "1" }) })}`);
      if (id !== this.id) return;
      const old = find("article.detail", this.root), fresh = find("article.detail", content);
      if (status === 202) {
        if (this.patience <= 1) this.#say(`Greenlet ${id} has not been seen yet.`);
        this.patience -= 1;
        if (this.patience > 0) setTimeout(() => id === this.id && this.refresh(true), 150);
        return;
      }
      if (!ok || !fresh) {
        if (whole || status === 404) this.#say(status === 404 ? `Greenlet ${id} is not known (any more).` : `Greenlet ${id} cannot be shown now.`);
        if (status === 404) this.stop();
        return;
      }
      if (whole || !old || old.dataset.greenlet !== id) this.root.replaceChildren(fresh);
      else {
        replaceParts(old, fresh);
        old.dataset.state = fresh.dataset.state;
      }
    } catch {
      // the connection's badge tells that nobody answers, and the next turn tries again; what is shown stays
      if (whole && id === this.id) this.#say(`Greenlet ${id} cannot be shown: the dashboard does not answer now.`);
    } finally {
      if (id === this.id) this.busy = false;
    }
  }

  /** Look again every so often while the page is seen and not paused. @param {() => boolean} paused @param {number} [every] */
  follow(paused, every = 1000) {
    this.stop();
    this.timer = setInterval(() => {
      if (!document.hidden && !paused()) this.refresh();
    }, every);
  }

  stop() {
    clearInterval(this.timer);
  }
}
