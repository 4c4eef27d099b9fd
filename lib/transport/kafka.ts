/**
 * Kafka, `kafka://host:port[,host2:port2][?tls=true&sasl=scram-sha-512|scram-sha-256|plain&producer=…&clientId=…]`.
 *
 * kafkajs reads, platformatic writes: the faster of the two each way. User and password come from the environment,
 * `TAPEDECK_KAFKA_USER` and `TAPEDECK_KAFKA_PASSWORD`. What fails and may pass is tried again for `world.retryForMs`.
 * An append whose outcome was lost for longer than the producer's own retries is looked for before it is tried again.
 * **In**, **Out** see the door. **Knows** `kafka/*`, `transport`, `codec`, `failure`, `world`.
 */
import type kafkajs from "kafkajs";
import { Misuse, Refusal } from "../failure.ts";
import {
  type Batch,
  type Checkpoint,
  type LogRecord,
  type Message,
  messageBytesMax,
  type Range,
  type ReceiveOptions,
  type Topic,
  type Transport,
} from "../transport.ts";
import { bytesOf, checkKey, sizeOf } from "../codec.ts";
import type { World } from "../world.ts";
import { type Address, addressOf, kafkaOf } from "./kafka/address.ts";
import { Prefixed } from "./kafka/prefixed.ts";
import { CHECKPOINT_TOPIC, CHECKPOINT_TOPIC_CONFIG, Checkpoints, NOTHING } from "./kafka/checkpoints.ts";
import { Landing } from "./kafka/landing.ts";
import { patienceWith } from "./kafka/outage.ts";
import { Looker } from "./kafka/looker.ts";
import { Reader, scan } from "./kafka/reader.ts";
import { absent, isAbsent, Source } from "./kafka/source.ts";
import { closed, platformaticOf, type Writer, writerOf } from "./kafka/writer.ts";

/** A batch stays below the `max.message.bytes` that every broker has by default; a larger message goes alone. */
const WRITE_BYTES_MAX = 900_000;
const WRITE_MESSAGES_MAX = 10_000;
/** What a message costs besides key and value: lengths, offsets, headers. */
const OVERHEAD_BYTES = 100;

/** Connects to the brokers. @throws {Misuse} for a bad URL or a refused user, {Outage} when none answers */
export async function open(url: string, world: World): Promise<Transport> {
  const address = addressOf(url, world);
  const log = new KafkaLog(address, world);
  try {
    await log.connect();
  } catch (error) {
    await log.close();
    throw error;
  }
  return address.prefix === "" ? log : new Prefixed(log, address.prefix);
}

class KafkaLog implements Transport {
  readonly describes: string;
  readonly #address: Address;
  readonly #world: World;
  readonly #control: Source;
  readonly #scans: Source;
  readonly #appends = new Map<string, Promise<unknown>>();
  readonly #landings = new Map<string, Landing>();
  #looker: Looker | null = null;
  #writer: Writer | null = null;
  #checkpoints: Promise<Checkpoints> | null = null;

  constructor(address: Address, world: World) {
    this.#address = address;
    this.#world = world;
    this.#control = new Source(address);
    this.#scans = new Source(address);
    this.describes = `Kafka at ${address.name}: appends are acknowledged by all in-sync replicas`;
  }

  connect(): Promise<void> {
    return this.#persist("reach a broker", () => this.#control.connect());
  }

  create(topic: string, partitions: number): Promise<void> {
    return this.#create(topic, partitions, { "max.message.bytes": String(messageBytesMax(topic) + (64 << 10)) });
  }

  async #create(topic: string, partitions: number, config: Readonly<Record<string, string>>): Promise<void> {
    await this.#administer(`create topic "${topic}"`, async (admin) => {
      const configEntries = Object.entries(config).map(([name, value]) => ({ name, value }));
      await admin.createTopics({ topics: [{ topic, numPartitions: partitions, configEntries }] });
    });
    const made = (await this.ranges(topic)).length;
    if (made !== partitions) {
      throw new Refusal(`Cannot create topic "${topic}": it has ${made} partitions, must have ${partitions}`);
    }
  }

  #administer<T>(what: string, act: (admin: kafkajs.Admin) => Promise<T>): Promise<T> {
    return this.#persist(what, async () => {
      const admin = kafkaOf(this.#address).admin();
      try {
        await admin.connect();
        return await act(admin);
      } finally {
        await admin.disconnect();
      }
    });
  }

  acknowledged(group: string, topic: string, partition: number): Promise<number | null> {
    return this.#administer(`look at group "${group}"`, async (admin) => {
      const [found] = await admin.fetchOffsets({ groupId: group, topics: [topic] });
      const offset = Number(found?.partitions.find((place) => place.partition === partition)?.offset ?? -1);
      return offset < 0 ? null : offset;
    });
  }

  ranges(topic: string): Promise<readonly Range[]> {
    return this.#persist(`look at topic "${topic}"`, () => this.#control.ranges(topic));
  }

  topic(topic: string, signal?: AbortSignal): Promise<Topic> {
    const look = async (): Promise<Topic> => {
      try {
        const { id, topics } = await this.#look().metadata({ topics: [topic], forceUpdate: true });
        const { id: own, partitionsCount } = topics.get(topic)!;
        return { identity: `${id}/${own}`, partitions: partitionsCount };
      } catch (error) {
        throw isAbsent(error) ? absent(topic) : error;
      }
    };
    return patienceWith(`look at topic "${topic}"`, this.#address, this.#world).persist(look, signal);
  }

  // deno-lint-ignore require-await -- a message that is too large rejects, it does not throw
  async append(
    topic: string,
    partition: number,
    messages: readonly Message[],
  ): Promise<{ readonly first: number; readonly next: number }> {
    return this.#append(topic, partition, [...partsOf(messages, topic, partition)]);
  }

  /** One append in flight a partition: a retry must not overtake. */
  #append(
    topic: string,
    partition: number,
    parts: readonly (readonly Message[])[],
  ): Promise<{ readonly first: number; readonly next: number }> {
    const name = `${topic}/${partition}`;
    const act = () => this.#write(topic, partition, parts);
    const appended = (this.#appends.get(name) ?? Promise.resolve()).then(act, act);
    this.#appends.set(name, appended.catch(() => {}));
    return appended;
  }

  async #write(
    topic: string,
    partition: number,
    parts: readonly (readonly Message[])[],
  ): Promise<{ readonly first: number; readonly next: number }> {
    const what = `append to "${topic}/${partition}"`;
    const known = await this.#persist(what, () => this.#control.know(topic));
    if (!known.includes(partition)) {
      throw new Misuse(`Cannot ${what}: the topic has ${known.length} partitions, must be below that`);
    }
    if (parts.length === 0) {
      const { high } = (await this.ranges(topic))[partition]!;
      return { first: high, next: high };
    }
    const landing = this.#landing(topic, partition, what);
    let first = -1;
    let next = -1;
    for (const part of parts) {
      const place = await landing.write(part);
      if (first < 0) first = place.first;
      next = place.next;
    }
    return { first, next };
  }

  #landing(topic: string, partition: number, what: string): Landing {
    const name = `${topic}/${partition}`;
    const writer = this.#writer ??= writerOf(this.#address);
    let landing = this.#landings.get(name);
    if (landing !== undefined) return landing;
    landing = new Landing({
      write: (messages) => writer.write(topic, partition, messages),
      end: async () => (await this.#control.ranges(topic))[partition]!.high,
      read: (from) => this.read(topic, partition, from, Infinity),
      persist: (act) => this.#persist(what, act),
    });
    this.#landings.set(name, landing);
    return landing;
  }

  receive<Topic extends string>(options: ReceiveOptions<Topic>): AsyncIterable<Batch> {
    return new Reader(options, this.#control, (topic) => this.topic(topic), this.#address, this.#world).batches();
  }

  read(
    topic: string,
    partition: number,
    from: number,
    to: number,
    signal?: AbortSignal,
  ): AsyncIterable<readonly LogRecord[]> {
    return scan(this.#scans, { topic, partition, offset: from }, to, this.#address, this.#world, signal);
  }

  /** Nothing to do: what can be read was acknowledged by all in-sync replicas. */
  sync(): Promise<void> {
    return Promise.resolve();
  }

  async claim(stage: string, partition: number): Promise<{ epoch: number; checkpoint: Checkpoint | null }> {
    return await (await this.#checkpointLog()).claim(stage, partition);
  }

  async save(stage: string, partition: number, checkpoint: Checkpoint): Promise<void> {
    await (await this.#checkpointLog()).save(stage, partition, checkpoint);
  }

  async load(stage: string, partition: number): Promise<Checkpoint | null> {
    return await (await this.#checkpointLog()).load(stage, partition);
  }

  async holder(stage: string, partition: number): Promise<{ epoch: number; since: number } | null> {
    return await (await this.#checkpointLog()).holder(stage, partition);
  }

  clock(): Promise<number | null> {
    return this.#look().clock();
  }

  async close(): Promise<void> {
    await Promise.all([
      this.#control.close(),
      this.#scans.close(),
      this.#looker && closed(this.#looker),
      this.#writer?.close(),
    ]);
  }

  #checkpointLog(): Promise<Checkpoints> {
    if (this.#checkpoints === null) {
      this.#checkpoints = this.#openCheckpoints();
      this.#checkpoints.catch(() => this.#checkpoints = null);
    }
    return this.#checkpoints;
  }

  async #openCheckpoints(): Promise<Checkpoints> {
    const { isLooking } = this.#world;
    if (!isLooking) await this.#create(CHECKPOINT_TOPIC, 1, CHECKPOINT_TOPIC_CONFIG);
    return new Checkpoints({
      append: (message) => this.#append(CHECKPOINT_TOPIC, 0, [[message]]),
      read: (from) => this.read(CHECKPOINT_TOPIC, 0, from, Infinity),
      low: async () => (await this.ranges(CHECKPOINT_TOPIC))[0]!.low,
      now: () => this.#world.now(),
      ...(isLooking && !await this.#isThere(CHECKPOINT_TOPIC) ? NOTHING : {}),
    });
  }

  async #isThere(topic: string): Promise<boolean> {
    try {
      await this.topic(topic);
      return true;
    } catch (error) {
      if (error instanceof Misuse) return false;
      throw error;
    }
  }

  #look(): Looker {
    return this.#looker ??= new Looker({ ...platformaticOf(this.#address), retries: 0 });
  }

  #persist<T>(what: string, act: () => Promise<T>): Promise<T> {
    return patienceWith(what, this.#address, this.#world).persist(act);
  }
}

/** The messages, their values as bytes, in batches that brokers take. @throws {Misuse} for a message that is too large */
function* partsOf(messages: readonly Message[], topic: string, partition: number): Generator<readonly Message[]> {
  const bytesMax = messageBytesMax(topic);
  const place = `${topic}/${partition}`;
  let part: Message[] = [];
  let bytes = 0;
  for (const message of messages) {
    checkKey(message.key, place);
    const value = bytesOf(message.value);
    const size = OVERHEAD_BYTES + 3 * (message.key?.length ?? 0) + sizeOf(value, place, bytesMax);
    if (part.length > 0 && (bytes + size > WRITE_BYTES_MAX || part.length >= WRITE_MESSAGES_MAX)) {
      yield part;
      part = [];
      bytes = 0;
    }
    part.push({ ...message, value });
    bytes += size;
  }
  if (part.length > 0) yield part;
}
