/**
 * Standard input and output, `stdio:`: values as lines, one partition, for pipes such as `… --to - | jq`.
 *
 * A value that is not one line of printable text travels as the JSON string "base64:…", and comes back as its bytes. Keys and
 * producers have no place in a line; a control message is not written. An offset is the number of a line, from 0. There
 * is nothing to seek in: `ranges` gives what was read so far, a drain ends at the end of the input, checkpoints and
 * acknowledgements last as long as the process.
 * **In**, **Out** see the door. **Knows** `transport`, `codec`, `failure`, `world`.
 */
import { Buffer } from "node:buffer";
import { Misuse, Outage, printable, Refusal } from "../failure.ts";
import type { Batch, Checkpoint, LogRecord, Message, Range, ReceiveOptions, Topic, Transport } from "../transport.ts";
import { assertFits, fenced, MESSAGE_BYTES_MAX } from "../transport.ts";
import { bytesOf, sizeOf, valueOf } from "../codec.ts";
import type { World } from "../world.ts";

const BATCH_MAX = 8192;
const CHUNK_BYTES = 1 << 16;
const WRAPPED = /^"base64:([0-9A-Za-z+/=]*)"$/;
/** A line holds a message, in base64 if need be. */
const LINE_BYTES_MAX = Math.ceil(MESSAGE_BYTES_MAX / 3) * 4 + '"base64:"'.length;

/** The streams of this process. @throws {Misuse} for anything but `stdio:` */
// deno-lint-ignore require-await -- a bad URL rejects, it does not throw
export async function open(url: string, world: World): Promise<Transport> {
  if (!/^stdio:(\/\/)?$/.test(url)) {
    throw new Misuse(`Cannot open standard streams "${url}": it names something, must be stdio:`);
  }
  return new Stdio(world);
}

/** A stage's partition: whose it is since when, and the checkpoint that counts. */
interface Claimed {
  epoch: number;
  since: number;
  best: Checkpoint | null;
}

class Stdio implements Transport {
  readonly describes = "standard streams: a line is acknowledged when the system has taken it";
  readonly #id = crypto.randomUUID();
  readonly #appended = new Map<string, number>();
  readonly #checkpoints = new Map<string, Claimed>();
  /** Lines read so far. */
  #lines = 0;
  #isRead = false;
  #turn: Promise<unknown> = Promise.resolve();
  readonly #world: World;

  constructor(world: World) {
    this.#world = world;
  }

  /** Nothing to make. @throws {Refusal} for another count than the one partition that there is */
  // deno-lint-ignore require-await -- a refusal rejects, it does not throw
  async create(topic: string, partitions: number): Promise<void> {
    if (partitions !== 1) {
      throw new Refusal(`Cannot create topic "${topic}": standard streams have 1 partition, must have ${partitions}`);
    }
  }

  ranges(_topic: string): Promise<readonly Range[]> {
    return Promise.resolve([{ low: 0, high: this.#lines }]);
  }

  /** Another one in each process: what comes down a pipe is never the same log again. */
  topic(topic: string): Promise<Topic> {
    return Promise.resolve({ identity: `${this.#id}/${topic}`, partitions: 1 });
  }

  async append(
    topic: string,
    partition: number,
    messages: readonly Message[],
  ): Promise<{ first: number; next: number }> {
    const place = `${topic}/${partition}`;
    const lines = messages.filter(({ control }) => !control).map(({ value }) => lineOf(value, place));
    const write = () => writeOut(Buffer.from(lines.join("")));
    const turn = this.#turn.then(write, write);
    this.#turn = turn.catch(() => {});
    const first = this.#appended.get(place) ?? 0;
    const next = first + messages.length;
    this.#appended.set(place, next);
    await turn;
    return { first, next };
  }

  async *receive<Topic extends string>(options: ReceiveOptions<Topic>): AsyncGenerator<Batch> {
    const { topics: [topic, ...others], signal, drain, start, batchMax = BATCH_MAX } = options;
    if (topic === undefined || others.length > 0 || this.#isRead) {
      throw new Misuse(`Cannot receive from standard input: it is one stream, must be read once and as one topic`);
    }
    this.#isRead = true;
    if (signal.aborted) return;
    let next = start ? await start(topic, 0, { low: 0, high: 0 }) : 0;
    const ack = () => Promise.resolve();
    // A drain that had fired at the start waits for the end of the input; a later one ends at what was read.
    const isWhole = drain?.aborted ?? false;
    const reader = Deno.stdin.readable.getReader();
    const stop = () => void reader.cancel().catch(() => {});
    signal.addEventListener("abort", stop);
    if (!isWhole) drain?.addEventListener("abort", stop);
    try {
      for await (const lines of linesOf(reader)) {
        const offset = this.#lines;
        this.#lines += lines.length;
        for (let at = Math.max(0, next - offset); at < lines.length && !signal.aborted; at += batchMax) {
          const part = lines.slice(at, at + batchMax);
          const records: LogRecord[] = part.map((line, i) => ({ key: null, value: line, offset: offset + at + i }));
          next = offset + at + part.length;
          yield { topic, partition: 0, records, next, high: this.#lines, ack };
        }
        if (signal.aborted) return;
      }
    } finally {
      signal.removeEventListener("abort", stop);
      drain?.removeEventListener("abort", stop);
      await reader.cancel().catch(() => {});
    }
  }

  read(): AsyncIterable<readonly LogRecord[]> {
    throw new Misuse("Cannot read offsets of standard input: what has passed is gone, must be a log or Kafka");
  }

  /** Nothing to do: what was read lies nowhere. */
  sync(): Promise<void> {
    return Promise.resolve();
  }

  claim(stage: string, partition: number): Promise<{ epoch: number; checkpoint: Checkpoint | null }> {
    const claimed = this.#claimed(stage, partition);
    claimed.since = this.#world.now();
    return Promise.resolve({ epoch: ++claimed.epoch, checkpoint: claimed.best });
  }

  // deno-lint-ignore require-await -- a refusal rejects, it does not throw
  async save(stage: string, partition: number, checkpoint: Checkpoint): Promise<void> {
    const claimed = this.#claimed(stage, partition);
    assertFits(`${stage}/${partition}`, checkpoint);
    if (checkpoint.epoch < claimed.epoch) throw fenced(`${stage}/${partition}`, checkpoint.epoch, claimed);
    claimed.best = checkpoint;
  }

  load(stage: string, partition: number): Promise<Checkpoint | null> {
    return Promise.resolve(this.#claimed(stage, partition).best);
  }

  /** Waits for the last line. */
  async close(): Promise<void> {
    await this.#turn;
  }

  #claimed(stage: string, partition: number): Claimed {
    const name = `${stage}/${partition}`;
    let claimed = this.#checkpoints.get(name);
    if (claimed === undefined) this.#checkpoints.set(name, claimed = { epoch: 0, since: 0, best: null });
    return claimed;
  }
}

/** The line of a value. Text that would read back as something else, or that a terminal would obey, is wrapped like bytes. */
function lineOf(value: Message["value"], place: string): string {
  sizeOf(value, place);
  const text = typeof value === "string" ? value : valueOf(bytesOf(value));
  // A line break is one of the characters that a terminal would obey.
  if (typeof text === "string" && text !== "" && printable(text) === text && !WRAPPED.test(text)) return `${text}\n`;
  return `"base64:${bytesOf(value).toString("base64")}"\n`;
}

async function writeOut(bytes: Uint8Array): Promise<void> {
  try {
    for (let at = 0; at < bytes.length;) at += await Deno.stdout.write(bytes.subarray(at));
  } catch (error) {
    if (!(error instanceof Deno.errors.BrokenPipe || error instanceof Deno.errors.BadResource)) throw error;
    throw new Outage("Cannot write to standard output: its reader has closed it, must be open", { cause: error });
  }
}

/** The values of whole lines, a chunk's at a time; the last line needs no line feed. */
async function* linesOf(reader: ReadableStreamDefaultReader<Uint8Array>): AsyncGenerator<Message["value"][]> {
  let tail = Buffer.alloc(0);
  for (let line = 1;;) {
    const { value, done } = await reader.read();
    const values: Message["value"][] = [];
    const bytes = tail.length === 0 ? Buffer.from(value ?? []) : Buffer.concat([tail, value ?? new Uint8Array()]);
    let from = 0;
    for (let at = bytes.indexOf(10); at >= 0; at = bytes.indexOf(10, from)) {
      values.push(unwrapped(bytes.subarray(from, at), line++));
      from = at + 1;
    }
    tail = bytes.subarray(from);
    if (done && tail.length > 0) values.push(unwrapped(tail, line));
    else if (tail.length > LINE_BYTES_MAX + CHUNK_BYTES) throw tooLong(line);
    if (values.length > 0) yield values;
    if (done) return;
  }
}

function unwrapped(line: Buffer, number: number): Message["value"] {
  if (line.length > LINE_BYTES_MAX) throw tooLong(number);
  const value = valueOf(line);
  const wrapped = typeof value === "string" ? WRAPPED.exec(value) : null;
  return wrapped === null ? value : valueOf(Buffer.from(wrapped[1]!, "base64"));
}

function tooLong(line: number): Refusal {
  return new Refusal(
    `Cannot read line ${line} of standard input: it is too long, must have at most ${LINE_BYTES_MAX} bytes`,
  );
}
