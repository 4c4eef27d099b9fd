/**
 * Membership of a consumer group: which partitions are this reader's, and the group's acknowledged offsets.
 *
 * kafkajs joins, beats and rebalances; it fetches nothing, all its partitions stay paused. So a reader that is busy for
 * long keeps its place, and what it does not ask for is not fetched.
 * **In** a group and topics, **Out** assignments, one a generation. **Knows** `address`.
 */
import kafkajs from "kafkajs";
import { type Address, kafkaOf } from "./address.ts";

/** A member that does not beat for so long is taken for dead; the broker's own minimum is 6,000. */
const SESSION_MS = 10_000;
const HEARTBEAT_MS = 500;
/** kafkajs looks around this often; its default makes joining and leaving take seconds. */
const LOOK_MS = 200;

export interface Assignment {
  readonly generation: number;
  readonly partitions: readonly Assigned[];
}

/** A partition of this member's, and the first of the generations without a break in which it was. */
interface Assigned {
  readonly topic: string;
  readonly partition: number;
  readonly since: number;
}

export class Member {
  /** Null until the group has been joined. */
  assignment: Assignment | null = null;
  /** Why the membership ended by itself; null while it lasts. */
  failure: unknown = null;
  readonly #group: string;
  readonly #consumer: kafkajs.Consumer;
  #cluster: kafkajs.Cluster | undefined;
  /** The group's name for this member; a new one for whoever was taken for dead. */
  #id: string | undefined;
  /** How often it has asked to join since it was last given partitions. */
  #joins = 0;

  /** `changed` is called whenever the assignment changes or the membership fails. */
  constructor(address: Address, group: string, generation: number, changed: () => void) {
    this.#group = group;
    this.#consumer = kafkaOf(address).consumer({
      groupId: group,
      sessionTimeout: SESSION_MS,
      heartbeatInterval: HEARTBEAT_MS,
      maxWaitTimeInMs: LOOK_MS,
      partitionAssigners: [(given) => {
        this.#cluster = given.cluster;
        const assigner = kafkajs.PartitionAssigners.roundRobin(given);
        const protocol: kafkajs.Assigner["protocol"] = (subscription) => {
          this.#joins++;
          return assigner.protocol(subscription);
        };
        return { ...assigner, protocol };
      }],
    });
    this.#consumer.on("consumer.group_join", ({ payload }) => {
      const topics = Object.keys(payload.memberAssignment);
      this.#consumer.pause(topics.map((topic) => ({ topic })));
      // A known member that has asked once is in the very next generation: what it had and has was nobody else's meanwhile.
      const isNext = payload.memberId === this.#id && this.#joins === 1;
      const before = isNext ? this.assignment!.partitions : [];
      this.#id = payload.memberId;
      this.#joins = 0;
      const current = ++generation;
      const partitions = topics.flatMap((topic) =>
        payload.memberAssignment[topic]!.map((partition) => {
          const held = before.find((mine) => mine.topic === topic && mine.partition === partition);
          return { topic, partition, since: held?.since ?? current };
        })
      );
      this.assignment = { generation: current, partitions };
      changed();
    });
    this.#consumer.on("consumer.crash", ({ payload }) => {
      this.failure = payload.error;
      changed();
    });
  }

  async join(topics: readonly string[]): Promise<void> {
    await this.#consumer.connect();
    await this.#consumer.subscribe({ topics: [...topics], fromBeginning: true });
    await this.#consumer.run({ autoCommit: false, eachBatch: () => Promise.resolve() });
  }

  /** The group's acknowledged offset; null when it has none. */
  async acknowledged(topic: string, partition: number): Promise<number | null> {
    const coordinator = await this.#cluster!.findGroupCoordinator({ groupId: this.#group });
    const { responses } = await coordinator.offsetFetch({
      groupId: this.#group,
      topics: [{ topic, partitions: [{ partition } as kafkajs.PartitionOffset] }],
    });
    const offset = Number(responses[0]?.partitions[0]?.offset ?? -1);
    return offset < 0 ? null : offset;
  }

  /** Tells the group, if the partition is still this member's. What fails here is told again by the next batch. */
  async acknowledge(topic: string, partition: number, next: number): Promise<void> {
    if (!this.assignment?.partitions.some((mine) => mine.topic === topic && mine.partition === partition)) return;
    await this.#consumer.commitOffsets([{ topic, partition, offset: String(next) }]).catch(() => {});
  }

  async leave(): Promise<void> {
    await this.#consumer.disconnect().catch(() => {});
  }
}
