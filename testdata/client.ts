/**
 * A plain client of a websocket for tests: frames in their order, bytes as base64, waited for one by one, and how it ended.
 */
import type { Fields } from "../lib/fields.ts";

export class Client implements Disposable {
  readonly socket: WebSocket;
  /** How the connection ended. */
  readonly ended: Promise<CloseEvent>;
  readonly #frames: string[] = [];
  readonly #waiting: ((frame: string) => void)[] = [];

  private constructor(url: string) {
    this.socket = new WebSocket(url);
    this.ended = new Promise((resolve) => this.socket.onclose = resolve);
    this.socket.binaryType = "arraybuffer";
    this.socket.onmessage = ({ data }) => {
      const frame = typeof data === "string" ? data : new Uint8Array(data).toBase64();
      const waiting = this.#waiting.shift();
      if (waiting === undefined) this.#frames.push(frame);
      else waiting(frame);
    };
  }

  /** Connects. Rejects with what was said where that fails. */
  static async to(url: string, ...requests: readonly unknown[]): Promise<Client> {
    const client = new Client(url);
    await new Promise<void>((resolve, reject) => {
      client.socket.onopen = () => resolve();
      client.socket.onerror = (event) => reject(new Error((event as ErrorEvent).message));
    });
    client.socket.onerror = (event) => event.preventDefault();
    for (const request of requests) client.say(request);
    return client;
  }

  say(request: unknown): void {
    const isPlain = typeof request === "string" || request instanceof Uint8Array;
    this.socket.send(isPlain ? request as string | Uint8Array<ArrayBuffer> : JSON.stringify(request));
  }

  /** The next frame as text. */
  text(): Promise<string> {
    const frame = this.#frames.shift();
    return frame === undefined ? new Promise((resolve) => this.#waiting.push(resolve)) : Promise.resolve(frame);
  }

  /** The next frame's object; whoever reads it says what it should be, and asserts that it is. */
  async next<Said = Fields>(): Promise<Said> {
    return JSON.parse(await this.text());
  }

  /** The next `count` frames. */
  async texts(count: number): Promise<string[]> {
    const frames: string[] = [];
    while (frames.length < count) frames.push(await this.text());
    return frames;
  }

  /** What came and was not asked for yet. */
  get left(): number {
    return this.#frames.length;
  }

  async close(): Promise<void> {
    this.socket.close();
    await this.ended;
  }

  [Symbol.dispose](): void {
    if (this.socket.readyState < WebSocket.CLOSING) this.socket.close();
  }
}
