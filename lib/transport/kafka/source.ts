/**
 * One connection to the brokers for reading without a group: what partitions hold, and the records from an offset on.
 *
 * kafkajs joins groups but offers no plain fetch; its cluster object does, and every partition assigner is given one.
 * Records of aborted transactions are left out. An offset that the log no longer holds is an error, never a reset.
 * **In** positions, **Out** chunks. **Knows** `address`, `compression`, `fetched`, `outage`, `transport`, `failure`.
 */
import kafkajs from "kafkajs";
import { Misuse, Refusal } from "../../failure.ts";
import type { LogRecord, Range } from "../../transport.ts";
import { type Address, kafkaOf } from "./address.ts";
import { Unreadable } from "./compression.ts";
import type { Fetched } from "./fetched.ts";
import { chainOf, isOf } from "./outage.ts";

/** Bytes of one answer of a broker, and of one partition in it; a larger batch still comes alone. */
const FETCH_BYTES_MAX = 8 << 20;
const FETCH_PARTITION_BYTES_MAX = 384 << 10;
const READ_COMMITTED = 1;

/** Whether the brokers know no such topic; platformatic says so in words alone. */
export function isAbsent(error: unknown): boolean {
  return isOf(error, "UNKNOWN_TOPIC_OR_PARTITION", "INVALID_TOPIC_EXCEPTION") ||
    chainOf(error).some(({ code, message }) => code === "PLT_KFK_USER" && message.startsWith("Unknown topic"));
}

/** The misuse that names an absent topic. */
export function absent(topic: string): Misuse {
  return new Misuse(
    `Cannot use topic "${topic}": it does not exist, must be created with deno task prepare --partitions N on the same --transport, or --create`,
  );
}

/** An offset in a partition of a topic. */
export interface Position {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
}

/** What one fetch found at a position. `next` lies beyond it wherever there was anything, records or not. */
export interface Chunk extends Position {
  readonly records: readonly LogRecord[];
  readonly next: number;
  readonly high: number;
}

export class Source {
  readonly #cluster: kafkajs.Cluster;
  /** Whether something failed since the topics were last made known; until they are again, nothing is sure. */
  #stale = true;
  readonly #topics = new Set<string>();

  constructor(address: Address) {
    let cluster: kafkajs.Cluster | undefined;
    kafkaOf(address).consumer({
      groupId: "none",
      partitionAssigners: [(given) => {
        cluster = given.cluster;
        return kafkajs.PartitionAssigners.roundRobin(given);
      }],
    });
    this.#cluster = cluster!;
  }

  async connect(): Promise<void> {
    await this.#cluster.connect();
  }

  /** Connects where it is not, and learns where the topic's partitions are; anew after a failure, or where asked. @throws {Misuse} for an absent topic */
  async know(topic: string, anew = this.#stale): Promise<readonly number[]> {
    try {
      if (!this.#cluster.isConnected()) await this.#cluster.connect();
      if (!this.#topics.has(topic)) await this.#cluster.addTargetTopic(topic);
      if (anew) await this.#cluster.refreshMetadata();
      else await this.#cluster.refreshMetadataIfNecessary();
      this.#stale = false;
      this.#topics.add(topic);
    } catch (error) {
      throw isAbsent(error) ? absent(topic) : error;
    }
    return this.#cluster.findTopicPartitionMetadata(topic).map(({ partitionId }) => partitionId).sort((a, b) => a - b);
  }

  get isStale(): boolean {
    return this.#stale;
  }

  /** What the topic's partitions hold, all that there are now. @throws {Misuse} for an absent topic */
  async ranges(topic: string): Promise<Range[]> {
    const partitions = (await this.know(topic, true)).map((partition) => ({ partition }));
    const ends = async (fromBeginning: boolean) => {
      const [found] = await this.#cluster.fetchTopicsOffset([{ topic, partitions, fromBeginning }]);
      return new Map(found!.partitions.map(({ partition, offset }) => [partition, Number(offset)]));
    };
    const [high, low] = await Promise.all([ends(false), ends(true)]);
    return partitions.map(({ partition }) => ({ low: low.get(partition)!, high: high.get(partition)! }));
  }

  /** The positions by the broker that serves them; their topics must be known. */
  nodesOf(positions: readonly Position[]): ReadonlyMap<string, readonly Position[]> {
    const nodes = new Map<string, Position[]>();
    for (const position of positions) {
      const leaders = this.#cluster.findLeaderForPartitions(position.topic, [position.partition]);
      const node = Object.keys(leaders)[0] ?? "";
      const list = nodes.get(node);
      if (list === undefined) nodes.set(node, [position]);
      else list.push(position);
    }
    return nodes;
  }

  /**
   * Fetches from one broker, waiting up to `waitMs` for a first record.
   * @throws {Refusal} naming the partition whose offset is out of range or whose records cannot be read
   */
  async fetch(node: string, positions: readonly Position[], waitMs: number): Promise<Chunk[]> {
    try {
      const broker = await this.#cluster.findBroker({ nodeId: node });
      const topics = [...new Set(positions.map(({ topic }) => topic))].map((topic) => ({
        topic,
        partitions: positions.filter((position) => position.topic === topic).map(({ partition, offset }) => ({
          partition,
          fetchOffset: String(offset),
          maxBytes: FETCH_PARTITION_BYTES_MAX,
        })),
      }));
      const { responses }: { responses: readonly { topicName: string; partitions: readonly Fetched[] }[] } =
        await broker.fetch({
          maxWaitTime: waitMs,
          minBytes: 1,
          maxBytes: FETCH_BYTES_MAX,
          isolationLevel: READ_COMMITTED,
          topics,
          rackId: "",
        });
      return responses.flatMap(({ topicName, partitions }) =>
        partitions.map((fetched) =>
          chunkOf(positions.find((p) => p.topic === topicName && p.partition === fetched.partition)!, fetched)
        )
      );
    } catch (error) {
      this.#stale = true;
      throw await this.#named(error, node, positions);
    }
  }

  async close(): Promise<void> {
    await this.#cluster.disconnect();
  }

  /** One bad partition fails the answer for all without its name; asked one by one, it shows itself. */
  async #named(error: unknown, node: string, positions: readonly Position[]): Promise<unknown> {
    const isRange = isOf(error, "OFFSET_OUT_OF_RANGE");
    if (!isRange && !(error instanceof Unreadable)) return error;
    if (positions.length > 1) {
      for (const position of positions) await this.fetch(node, [position], 0);
      return error;
    }
    const { topic, partition, offset } = positions[0]!;
    const { low, high } = (await this.ranges(topic))[partition]!;
    return new Refusal(
      `Cannot read partition "${topic}/${partition}" at offset ${offset}: ` +
        (isRange ? `it holds ${low} up to ${high}, must still hold that offset` : (error as Error).message),
    );
  }
}

function chunkOf(position: Position, { records, next, high }: Fetched): Chunk {
  // A batch comes whole, with what lies before the offset that was asked for.
  const isExact = (records[0]?.offset ?? Infinity) >= position.offset;
  const kept = isExact ? records : records.filter(({ offset }) => offset >= position.offset);
  return { ...position, records: kept, next: Math.max(position.offset, next), high };
}
