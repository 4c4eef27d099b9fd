/**
 * A venue that is pretended: a server on a real socket that speaks a venue's websocket and REST out of the seeded market,
 * with faults on demand. The market goes on whether anybody listens or not; what was sent while a client was away is lost
 * to it, but for what REST still knows. Residents: one file a company in `pretend/`, each pure.
 *
 * **In** steps of the market, requests of clients; **Out** frames and answers, and in `truth` what really happened.
 * **Knows** `pit`, `speech`, `line`, `wire`, `history`, `mischief`, `chance`, `failure`.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createSecureServer } from "node:https";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { Chance } from "./chance.ts";
import { Misuse, reasonOf } from "./failure.ts";
import { type About, type Deed, History } from "./history.ts";
import { Connection } from "./line.ts";
import { type AnswerFault, FRAME_FAULTS, Mischief, type Planted, VENUE_FAULTS } from "./mischief.ts";
import { Pit } from "./pit.ts";
import type { Gate, RestAnswer, Speech } from "./speech.ts";
import { isUpgrade, Wire } from "./wire.ts";

export interface PretendOptions {
  /** One of {@linkcode PRETENDED}. */
  readonly as: string;
  readonly hostname?: string;
  /** 0, which is the default, for a free one. */
  readonly port?: number;
  /** PEM. */
  readonly tls?: { readonly cert: string; readonly key: string };
  readonly seed?: number;
  /** Instruments of the seeded market; those that trade below zero are left out. */
  readonly symbols?: number;
  /** Levels of each side of a book. */
  readonly levels?: number;
  /** Changes of a book that one frame tells. */
  readonly batch?: number;
  /** Share of frames and answers that a fault strikes. */
  readonly mischief?: number;
  /** The time that frames carry, µs, instead of the market's own. */
  readonly now?: () => number;
  /** Hears what is added to the truth. */
  readonly noted?: (deed: Deed) => void;
  readonly tradesMax?: number;
  readonly booksMax?: number;
}

/** Every venue that can be pretended. */
export const PRETENDED = [
  "binance",
  "binance-usdm",
  "bybit",
  "bybit-linear",
  "kraken",
  "coinbase",
  "coinbase-advanced",
  "finnhub",
  "upstox",
] as const;

const SECOND = 1_000_000;
/** From the announcement of an end to the end, µs: shorter than any real one. */
const NOTICE = 60 * SECOND;
const ENDED = 1001;
const TRADES_MAX = 10_000, BOOKS_MAX = 4_096;
/** Connections at once. */
const LINES_MAX = 1_000;
/** Addresses that were named and not come to yet. */
const CODES_MAX = 1_000;
/** Recorded answers that are kept. */
const PLAYED_MAX = 1_000;
const HTML = "<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head><body>Bad Gateway</body></html>\n";

export class Pretend {
  /** What it did. */
  readonly truth: History;
  readonly #speech: Speech;
  readonly #options: PretendOptions;
  readonly #pit: Pit;
  readonly #mischief: Mischief;
  readonly #lines = new Map<number, Connection>();
  /** Whose end is announced, for when, and with which frame. */
  readonly #endings = new Map<Connection, { readonly at: number; readonly about: About }>();
  readonly #played = new Map<string, string>();
  readonly #codes = new Set<string>();
  #lastCode = 0;
  readonly #joined = Promise.withResolvers<void>();
  #server: Server | null = null;
  #port = 0;
  #lastLine = 0;
  #writtenToGone = 0;
  #beats: number;
  #isPlaying = false;

  private constructor(speech: Speech, options: PretendOptions) {
    const { seed = 1, symbols = 8, mischief = 0, levels = 200, batch = 1, now, noted } = options;
    const { tradesMax = TRADES_MAX, booksMax = BOOKS_MAX } = options;
    this.#speech = speech;
    this.#options = options;
    this.truth = new History({ tradesMax, booksMax, noted });
    this.#pit = new Pit(speech, { seed, symbols, levels, batch, now }, this.truth);
    this.#beats = Math.floor(this.#pit.time / SECOND);
    this.#mischief = new Mischief(mischief, Chance.of(seed, 3), FRAME_FAULTS.filter((fault) => this.#canHave(fault)));
  }

  /** Starts to serve. @throws {Misuse} for an unknown venue, an option out of range, a place where it cannot listen */
  static async open(options: PretendOptions): Promise<Pretend> {
    const { as, levels = 1, batch = 1, mischief = 0 } = options;
    if (!(PRETENDED as readonly string[]).includes(as)) {
      throw new Misuse(`Cannot pretend venue "${as}": it is unknown, must be one of ${PRETENDED.join(", ")}`);
    }
    for (const [what, value, max] of [["levels", levels, 5_000], ["batch", batch, 1_000]] as const) {
      if (Number.isInteger(value) && value >= 1 && value <= max) continue;
      throw new Misuse(`Cannot pretend ${what} "${value}": is out of range, must be an integer from 1 to ${max}`);
    }
    if (!(mischief >= 0 && mischief <= 1)) {
      throw new Misuse(`Cannot pretend mischief "${mischief}": is out of range, must be a share from 0 to 1`);
    }
    const company = as.split("-", 1)[0]!;
    const resident: { readonly speeches: readonly Speech[] } = await import(`./pretend/${company}.ts`);
    const pretend = new Pretend(resident.speeches.find(({ name }) => name === as)!, options);
    await pretend.#listen();
    return pretend;
  }

  /** Where the websocket is: scheme, host and port. */
  get socketUrl(): string {
    return `${this.#options.tls ? "wss" : "ws"}://${this.#address}`;
  }

  /** Where REST is: scheme, host and port. */
  get restUrl(): string {
    return `${this.#options.tls ? "https" : "http"}://${this.#address}`;
  }

  /** What trades here, in the venue's words, the busiest first. */
  get symbols(): readonly string[] {
    return this.#pit.instruments.map(({ symbol }) => symbol);
  }

  /** Number of the last event of the market. */
  get event(): number {
    return this.#pit.event;
  }

  /** Connections that there are. */
  get connections(): number {
    return this.#lines.size;
  }

  /** What they asked to hear. */
  get topics(): number {
    return [...this.#lines.values()].reduce((sum, line) => sum + line.topics.size, 0);
  }

  /** Frames that were written to connections, also to those that are gone. */
  get written(): number {
    let sum = this.#writtenToGone;
    for (const line of this.#lines.values()) sum += line.written;
    return sum;
  }

  /** Connections that there ever were, and faults that struck. */
  get came(): number {
    return this.#lastLine;
  }

  get struck(): number {
    return this.truth.struck;
  }

  /** Settled once somebody has come. */
  get joined(): Promise<void> {
    return this.#joined.promise;
  }

  /** Lets a fault wait for what it can strike. @throws {Misuse} for one that this venue cannot have */
  plant(fault: Planted): void {
    if (!this.#canHave(fault.fault)) {
      throw new Misuse(
        `Cannot plant fault "${fault.fault}": ${this.#speech.name} does not know it, must be one that it can have`,
      );
    }
    this.#mischief.plant(fault);
  }

  /** Lets the market go on by one event, and tells whom it concerns. */
  step(): void {
    for (const { happening, about } of this.#pit.step()) {
      for (const line of this.#lines.values()) {
        for (const topic of line.about(about.symbol)) {
          if (topic.stream !== about.stream) continue;
          const frame = this.#speech.tell(happening, topic, line, this.#pit);
          if (frame !== undefined) this.#send(line, frame, about);
        }
      }
    }
    this.#end();
    const beats = Math.floor(this.#pit.time / SECOND);
    if (beats > this.#beats) {
      this.#beats = beats;
      this.beat();
    }
  }

  /** Says what is said once a second; by itself it does so whenever a second has passed. */
  beat(): void {
    const { pingSeconds } = this.#speech;
    for (const line of this.#lines.values()) {
      for (const saying of this.#speech.beat(line, this.#pit, this.#beats)) line.say(saying);
      if (pingSeconds > 0 && this.#beats % pingSeconds === 0) line.ping();
    }
  }

  /** Settled once everybody who can still hear has taken what was said so far. */
  async heard(): Promise<void> {
    await Promise.all([...this.#lines.values()].map((line) => line.heard()));
  }

  /** Sends a recorded frame as it is to everybody; from the first on the venue says nothing by itself. */
  play(frame: string, request?: string): void {
    this.#isPlaying = true;
    if (request !== undefined) {
      const { pathname, search } = new URL(request);
      // Whoever asks for another amount of it is told what there is.
      for (const key of [pathname + search, pathname]) this.#played.delete(key);
      this.#played.set(pathname + search, frame).set(pathname, frame);
      for (const key of this.#played.keys()) if (this.#played.size > PLAYED_MAX) this.#played.delete(key);
      return;
    }
    for (const line of this.#lines.values()) line.say(() => frame);
  }

  /** Ends every connection and stops serving. */
  async close(): Promise<void> {
    for (const line of this.#lines.values()) line.leave();
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#server!.close(() => resolve());
    this.#server!.closeAllConnections();
    await promise;
  }

  get #address(): string {
    const { hostname = "127.0.0.1" } = this.#options;
    return `${hostname.includes(":") ? `[${hostname}]` : hostname}:${this.#port}`;
  }

  async #listen(): Promise<void> {
    const { hostname = "127.0.0.1", port = 0, tls } = this.#options;
    const answer = (request: IncomingMessage, response: ServerResponse) => this.#answer(request, response);
    const server = tls === undefined ? createServer(answer) : createSecureServer(tls, answer);
    server.on("upgrade", (request, socket, head) => this.#upgrade(request, socket, head));
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    server.once("error", (error) => {
      const place = `${hostname}:${port}`;
      reject(new Misuse(`Cannot listen at "${place}": ${reasonOf(error)}, must be a free address of this machine`));
    });
    server.listen(port, hostname, resolve);
    await promise;
    this.#server = server;
    this.#port = (server.address() as AddressInfo).port;
  }

  #canHave(fault: string): boolean {
    return !(VENUE_FAULTS as readonly string[]).includes(fault) || this.#speech.faults.some((each) => each === fault);
  }

  /** Sends market data, or lets a fault strike it. */
  #send(line: Connection, frame: string, about: About): void {
    // What is never written has no number either.
    if (line.isSilent) return;
    const strike = this.#mischief.frame({ connection: line.id, ...about });
    if (strike === undefined) return line.data(frame);
    const { fault, code } = strike;
    this.truth.fault({
      ...{ fault, event: this.#pit.event, time: this.#pit.time, connection: line.id, about },
      ...(fault === "close" ? { code } : {}),
    });
    switch (fault) {
      case "drop":
        return line.miss();
      case "twice":
        line.data(frame);
        return line.raw(frame);
      case "swap":
        return line.hold(frame);
      case "garble":
        // As much as leaves the base64 of bytes one of fewer bytes.
        return line.data(frame.slice(0, -4));
      case "stall":
        line.isSilent = true;
        return;
      case "halfOpen":
        return line.freeze();
      case "close":
        return line.close(code);
      case "abort":
        return line.abort();
      case "checksum":
        return line.data(this.#speech.missum!(frame));
      case "reset":
        this.#pit.reset(about.symbol);
        return line.data(frame);
      case "shutdown":
        line.data(frame);
        this.#endings.set(line, { at: this.#pit.time + NOTICE, about });
        return line.raw(this.#speech.shutdown!(line, this.#pit.time));
    }
  }

  /** Ends those whose end was announced for now. */
  #end(): void {
    for (const [line, { at, about }] of this.#endings) {
      const isOpen = this.#lines.get(line.id) === line;
      if (isOpen && this.#pit.time < at) continue;
      this.#endings.delete(line);
      if (!isOpen || line.isSilent) continue;
      const { event, time } = this.#pit;
      this.truth.fault({ fault: "close", event, time, connection: line.id, about, code: ENDED });
      line.close(ENDED);
    }
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Uint8Array): void {
    socket.on("error", () => socket.destroy());
    const refuse = (status: string, body: string): void => {
      const text =
        `HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Type: text/html\r\nContent-Length: ${body.length}\r\n`;
      socket.end(`${text}${/^4[12]/.test(status) ? "Retry-After: 1\r\n" : ""}\r\n${body}`);
    };
    const url = this.#urlOf(request);
    const strike = this.#isPlaying ? undefined : this.#mischief.answer("upgrade", false);
    if (strike !== undefined) {
      this.#noteAnswer(strike.fault, url);
      if (strike.fault === "html") return refuse("200 OK", HTML);
      return refuse(strike.fault === "banned" ? "418 I'm a teapot" : "429 Too Many Requests", "");
    }
    if (!isUpgrade(request)) return refuse("400 Bad Request", "");
    if (this.#lines.size >= LINES_MAX) return refuse("503 Service Unavailable", "");
    const { gate, speaksBytes } = this.#speech;
    if (gate !== undefined && !this.#isPlaying && !this.#codes.delete(gate.codeOf(url) ?? "")) {
      return refuse("401 Unauthorized", "");
    }
    const id = this.#lastLine + 1;
    const line = new Connection(id, () => {
      if (this.#lines.delete(id)) this.#writtenToGone += line.written;
    });
    const answer = this.#isPlaying ? { says: [] } : this.#speech.connect(url, line, this.#pit);
    if (answer === undefined) return refuse("404 Not Found", "");
    if (answer === 401) return refuse("401 Unauthorized", "");
    this.#lastLine = id;
    const hear = (message: string): void => {
      if (!this.#isPlaying) line.follow(this.#speech.request(message, line, this.#pit));
    };
    const heard = { text: hear, pong: (ping: string) => line.pong(ping), ended: () => line.ended() };
    const wire = new Wire(request, socket, head, heard, speaksBytes);
    this.#lines.set(id, line);
    line.begin(wire, answer);
    this.#joined.resolve();
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const url = this.#urlOf(request);
    const say = (status: number, body: string, headers: Readonly<Record<string, string>> = {}): void => {
      const type = body.startsWith("<") ? "text/html" : "application/json";
      response.writeHead(status, { "content-type": type, ...headers });
      response.end(body);
    };
    request.resume();
    const { gate } = this.#speech;
    const isAtGate = gate?.path === url.pathname;
    if (this.#isPlaying && !isAtGate) {
      const played = this.#played.get(url.pathname + url.search) ?? this.#played.get(url.pathname);
      return played === undefined ? say(404, "{}") : say(200, played);
    }
    const strike = this.#isPlaying ? undefined : this.#mischief.answer("request", this.#speech.isBook(url));
    if (strike !== undefined) this.#noteAnswer(strike.fault, url);
    if (strike?.fault === "html") return say(502, HTML);
    if (strike?.fault === "tooMany") {
      return say(429, '{"code":-1003,"msg":"Too many requests"}', { "retry-after": "1" });
    }
    if (strike?.fault === "banned") return say(418, '{"code":-1003,"msg":"Banned"}', { "retry-after": "120" });
    const answer = gate !== undefined && isAtGate
      ? this.#named(gate, request.headers.authorization)
      : this.#speech.rest(url, strike?.fault === "stale" ? this.#pit.stale() : this.#pit);
    if (answer === undefined) return say(404, '{"message":"NotFound"}');
    say(answer.status, JSON.stringify(answer.body), answer.headers);
  }

  /** Names the address to one connection. */
  #named(gate: Gate, authorization: string | undefined): RestAnswer {
    const code = String(++this.#lastCode);
    const answer = gate.answer(authorization, code);
    if (answer.status === 200) this.#codes.add(code);
    if (this.#codes.size > CODES_MAX) this.#codes.delete(this.#codes.values().next().value!);
    return answer;
  }

  #noteAnswer(fault: AnswerFault, url: URL): void {
    const about = { path: url.pathname + url.search };
    this.truth.fault({ fault, event: this.#pit.event, time: this.#pit.time, connection: null, about });
  }

  #urlOf(request: IncomingMessage): URL {
    return URL.parse(request.url ?? "/", "http://pretend.invalid") ?? new URL("http://pretend.invalid/");
  }
}
