/**
 * The client that looks at a cluster: its topics, and its clock, of which a broker says nothing with any record. What it
 * is asked for its quorum its leader stamps with the time at which it answers (Kafka 3.3 and later without ZooKeeper).
 *
 * **In** nothing, **Out** what the cluster says of itself. **Knows** nothing.
 */
import { Base, type Connection, describeQuorumV1, kGetBootstrapConnection } from "@platformatic/kafka";

/** The topic that the leader of the quorum keeps. */
const METADATA = [{ topicName: "__cluster_metadata", partitions: [{ partitionIndex: 0 }] }];

export class Looker extends Base {
  /** What the clock of the quorum's leader says, ms since the epoch; null where the cluster has none or may not say. */
  async clock(): Promise<number | null> {
    const connection = await new Promise<Connection>((resolve, reject) =>
      this[kGetBootstrapConnection]((error, connection) => error ? reject(error) : resolve(connection!))
    );
    try {
      const { topics } = await describeQuorumV1.api.async(connection, METADATA);
      const quorum = topics[0]?.partitions[0];
      const leader = quorum?.currentVoters.find(({ replicaId }) => replicaId === quorum.leaderId);
      const at = Number(leader?.lastCaughtUpTimestamp ?? -1);
      return at < 0 ? null : at;
    } catch {
      // Not every cluster has the request, nor every user the leave.
      return null;
    }
  }
}
