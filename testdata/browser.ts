/**
 * A real browser for tests and benches: Chromium without a window, in an empty profile, spoken to by its own protocol.
 */

const PLACES = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const FLAGS = [
  ...["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"],
  ...["--disable-background-networking", "--disable-component-update", "--remote-debugging-port=0"],
];
const ASK_MS_MAX = 60_000;

interface Told {
  readonly id?: number;
  readonly method?: string;
  readonly params?: unknown;
  readonly result?: unknown;
  readonly error?: { readonly message: string };
  readonly sessionId?: string;
}

/** Where a browser lies; null where there is none. */
export function browserPath(): string | null {
  return PLACES.find((path) => {
    try {
      return Deno.statSync(path).isFile;
    } catch {
      return false;
    }
  }) ?? null;
}

export class Browser {
  readonly #child: Deno.ChildProcess;
  readonly #profile: string;
  readonly #socket: WebSocket;
  readonly #asked = new Map<number, PromiseWithResolvers<unknown>>();
  readonly #heard = new Set<(told: Told) => void>();
  #serial = 0;

  private constructor(child: Deno.ChildProcess, profile: string, socket: WebSocket) {
    this.#child = child;
    this.#profile = profile;
    this.#socket = socket;
    socket.onmessage = ({ data }) => {
      const told = JSON.parse(data) as Told;
      const asked = told.id === undefined ? undefined : this.#asked.get(told.id);
      if (asked === undefined) return this.#heard.forEach((hear) => hear(told));
      this.#asked.delete(told.id!);
      if (told.error === undefined) asked.resolve(told.result);
      else asked.reject(new Error(told.error.message));
    };
    socket.onclose = () => this.#asked.forEach(({ reject }) => reject(new Error("the browser is gone")));
  }

  static async launch(path: string): Promise<Browser> {
    const profile = await Deno.makeTempDir({ prefix: "tapedeck-browser-" });
    const child = new Deno.Command(path, {
      args: [...FLAGS, `--user-data-dir=${profile}`, "about:blank"],
      stdout: "null",
      stderr: "piped",
    }).spawn();
    let said = "";
    const stream = child.stderr.pipeThrough(new TextDecoderStream());
    for await (const text of stream.values({ preventCancel: true })) {
      said += text;
      const url = /DevTools listening on (ws:\S+)\s/.exec(said)?.[1];
      if (url === undefined) continue;
      // What it says later is nobody's business, but must not fill the pipe.
      stream.pipeTo(new WritableStream()).catch(() => {});
      const socket = new WebSocket(url);
      await new Promise((resolve, reject) => {
        socket.onopen = resolve;
        socket.onerror = reject;
      });
      return new Browser(child, profile, socket);
    }
    throw new Error(`Cannot launch browser "${path}": it ended with ${said.slice(-500)}`);
  }

  async ask<T>(method: string, params: object = {}, sessionId?: string): Promise<T> {
    const id = ++this.#serial;
    const asked = Promise.withResolvers<unknown>();
    this.#asked.set(id, asked);
    this.#socket.send(JSON.stringify({ id, method, params, ...(sessionId && { sessionId }) }));
    const late = setTimeout(() => asked.reject(new Error(`the browser does not answer ${method}`)), ASK_MS_MAX);
    try {
      return await asked.promise as T;
    } finally {
      clearTimeout(late);
    }
  }

  /** Hears what the browser tells of itself until the answer is called. */
  hear(listener: (told: Told) => void): () => void {
    this.#heard.add(listener);
    return () => this.#heard.delete(listener);
  }

  async page(): Promise<Page> {
    const { targetId } = await this.ask<{ targetId: string }>("Target.createTarget", { url: "about:blank" });
    const { sessionId } = await this.ask<{ sessionId: string }>("Target.attachToTarget", { targetId, flatten: true });
    const page = new Page(this, sessionId);
    for (const domain of ["Page", "Runtime", "Log", "Network"]) await page.ask(`${domain}.enable`);
    return page;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.ask("Browser.close").catch(() => {});
    this.#socket.close();
    await this.#child.status;
    await Deno.remove(this.#profile, { recursive: true }).catch(() => {});
  }
}

export class Page {
  /** What the page complained of, on its console or by falling. */
  readonly complaints: string[] = [];
  /** Whatever it asked for, its own file included. */
  readonly requests: string[] = [];
  readonly #browser: Browser;
  readonly #session: string;

  constructor(browser: Browser, session: string) {
    this.#browser = browser;
    this.#session = session;
    browser.hear(({ sessionId, method, params }) => {
      if (sessionId !== session) return;
      if (method === "Network.requestWillBeSent") {
        this.requests.push((params as { request: { url: string } }).request.url);
      }
      const isComplaint = method === "Runtime.exceptionThrown" || method === "Log.entryAdded" ||
        method === "Runtime.consoleAPICalled";
      if (isComplaint) this.complaints.push(JSON.stringify(params));
    });
  }

  ask<T>(method: string, params: object = {}): Promise<T> {
    return this.#browser.ask<T>(method, params, this.#session);
  }

  /** Opens a page and waits until it is loaded. */
  async open(url: string): Promise<void> {
    const loaded = Promise.withResolvers<void>();
    const deaf = this.#browser.hear(({ sessionId, method }) => {
      if (sessionId === this.#session && method === "Page.loadEventFired") loaded.resolve();
    });
    try {
      await this.ask("Page.navigate", { url });
      await loaded.promise;
    } finally {
      deaf();
    }
  }

  /** The value of an expression on the page; two frames later, so that whatever it began is drawn. */
  async value<T>(expression: string): Promise<T> {
    const drawn = `new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))`;
    const { result, exceptionDetails } = await this.ask<
      { result: { value: T }; exceptionDetails?: { exception?: { description?: string } } }
    >("Runtime.evaluate", {
      expression: `(async () => { const value = await (${expression}); await ${drawn}; return value; })()`,
      awaitPromise: true,
      returnByValue: true,
    });
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? expression);
    return result.value;
  }

  async look(options: { readonly dark?: boolean; readonly width?: number; readonly height?: number }): Promise<void> {
    const { dark = false, width = 1280, height = 900 } = options;
    await this.ask("Emulation.setEmulatedMedia", {
      features: [{ name: "prefers-color-scheme", value: dark ? "dark" : "light" }],
    });
    await this.ask("Emulation.setDeviceMetricsOverride", { width, height, deviceScaleFactor: 1, mobile: width < 600 });
  }

  async screenshot(path: string): Promise<void> {
    const { data } = await this.ask<{ data: string }>("Page.captureScreenshot", { format: "png" });
    await Deno.writeFile(path, Uint8Array.from(atob(data), (c) => c.charCodeAt(0)));
  }
}
