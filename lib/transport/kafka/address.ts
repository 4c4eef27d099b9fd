/**
 * Where a Kafka cluster is and how to log in, for both client libraries: the URL taken apart, its secrets masked.
 *
 * **In** `kafka://host:port[,host2:port2][?tls=true&sasl=…&producer=…&clientId=…]` and the two environment names;
 * **Out** an `Address`, and the settings of kafkajs made from it.
 * **Knows** `fetched`, `failure`, `world`.
 */
import net from "node:net";
import tls from "node:tls";
import kafkajs from "kafkajs";
import RequestQueue from "kafkajs/src/network/requestQueue/index.js";
import { Misuse, shownUrl } from "../../failure.ts";
import type { World } from "../../world.ts";
import { readFetches } from "./fetched.ts";

const MECHANISMS = ["plain", "scram-sha-256", "scram-sha-512"] as const;
const PRODUCERS = ["platformatic", "kafkajs"] as const;
const PARAMETERS = ["tls", "sasl", "insecure", "producer", "clientId", "prefix"];
const PORT = 9092;

export interface Address {
  readonly brokers: readonly string[];
  /** The brokers on one line, without a secret: for messages. */
  readonly name: string;
  readonly clientId: string;
  readonly tls: boolean;
  readonly sasl: {
    readonly mechanism: typeof MECHANISMS[number];
    readonly username: string;
    readonly password: string;
  } | null;
  readonly producer: typeof PRODUCERS[number];
  /** Stands before every topic, group and stage, so that several tapes share a cluster. */
  readonly prefix: string;
}

/** Takes a URL apart. @throws {Misuse} for one that cannot be meant, and for a password that would travel in the clear */
export function addressOf(url: string, world: World): Address {
  const parts = /^kafka:\/\/(?:([^@/?#]*)@)?([^@/?#]+)\/?(?:\?(.*))?$/.exec(url);
  const wrong = (state: string, wanted: string) =>
    new Misuse(`Cannot open Kafka "${shownUrl(url)}": ${state}, must ${wanted}`);
  if (parts === null) throw wrong("the URL names no broker", "be kafka://HOST:PORT[,HOST:PORT][?tls=true&sasl=…]");
  const [, login = "", hosts = "", query = ""] = parts;
  const brokers = hosts.split(",").map((host) => /:\d+$/.test(host) ? host : `${host}:${PORT}`);
  if (brokers.some((broker) => !/^(\[[0-9a-fA-F:]+\]|[^:[\]\s]+):\d+$/.test(broker))) {
    throw wrong("a broker is not HOST:PORT", "be kafka://HOST:PORT[,HOST:PORT]");
  }
  const parameters = new URLSearchParams(query);
  for (const name of parameters.keys()) {
    if (!PARAMETERS.includes(name)) throw wrong(`parameter "${name}" is unknown`, `be one of ${PARAMETERS.join(", ")}`);
  }
  const choice = <T extends string>(name: string, choices: readonly T[]): T | undefined => {
    const value = parameters.get(name);
    if (value === null) return undefined;
    const found = choices.find((choice) => choice === value);
    if (found === undefined) throw wrong(`${name} is "${value}"`, `be one of ${choices.join(", ")}`);
    return found;
  };
  const flag = (name: string) => choice(name, ["true", "false"]) === "true";
  const prefix = parameters.get("prefix") ?? "";
  if (!/^[\w.-]{0,100}$/.test(prefix)) throw wrong("prefix has other characters", "be letters, digits, . _ or -");
  const [urlUser, urlPassword] = login.split(/:(.*)/s).map(decodeURIComponent);
  const username = urlUser || world.env("TAPEDECK_KAFKA_USER");
  const password = urlPassword || world.env("TAPEDECK_KAFKA_PASSWORD");
  const mechanism = choice("sasl", MECHANISMS);
  if (login && !mechanism) throw wrong("it has a user but no sasl", `name sasl, one of ${MECHANISMS.join(", ")}`);
  if (mechanism && !(username && password)) {
    throw wrong("sasl lacks a user or password", "come with TAPEDECK_KAFKA_USER and TAPEDECK_KAFKA_PASSWORD");
  }
  if (mechanism && !flag("tls") && !flag("insecure")) {
    throw wrong("sasl without TLS shows the password to the network", "have tls=true, or insecure=true to allow it");
  }
  return {
    brokers,
    name: brokers.join(","),
    clientId: parameters.get("clientId") || "tapedeck",
    prefix,
    tls: flag("tls"),
    sasl: mechanism ? { mechanism, username: username!, password: password! } : null,
    producer: choice("producer", PRODUCERS) ?? "platformatic",
  };
}

/** kafkajs for this address. Its own retries are few: the bound on an outage is ours. */
export function kafkaOf({ brokers, clientId, tls: secure, sasl }: Address): kafkajs.Kafka {
  readFetches();
  calm();
  return new kafkajs.Kafka({
    brokers: [...brokers],
    clientId,
    ssl: secure,
    ...(sasl === null ? {} : { sasl: sasl as kafkajs.SASLOptions }),
    logLevel: kafkajs.logLevel.NOTHING,
    connectionTimeout: 3_000,
    requestTimeout: 30_000,
    socketFactory: ({ host, port, ssl, onConnect }) => {
      const socket = ssl
        ? tls.connect({ host, port, ...(net.isIP(host) ? {} : { servername: host }), ...ssl }, onConnect)
        : net.connect({ host, port }, onConnect);
      socket.setKeepAlive(true, 60_000);
      socket.setNoDelay(true);
      return socket;
    },
    retry: { retries: 2, initialRetryTime: 50, maxRetryTime: 500, restartOnFailure: () => Promise.resolve(false) },
  });
}

/**
 * kafkajs keeps a timer of 1 ms going on each connection for ever, though there is only something to check while
 * requests are pending. The method is wrapped once for the whole process.
 */
function calm(): void {
  if (calmed) return;
  calmed = true;
  const schedule = RequestQueue.prototype.scheduleCheckPendingRequests;
  RequestQueue.prototype.scheduleCheckPendingRequests = function (this: { readonly pending: readonly unknown[] }) {
    if (this.pending.length > 0) schedule.call(this);
  };
}
let calmed = false;
