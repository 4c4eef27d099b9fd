/**
 * Which Postgres server the URL names: `postgres://user@host:port/database?schema=…&sslmode=…`.
 *
 * **In** a URL, and the password from the environment, **Out** the server, or one line that never repeats the URL, since
 * it may hold a password.
 * **Knows** `failure`, `world`.
 */
import { Misuse } from "../../failure.ts";
import type { World } from "../../world.ts";

const SSL_MODES = ["disable", "prefer", "require", "verify-full"];

/** What the URL says. */
export interface Server {
  readonly user: string;
  readonly password: string;
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly schema: string;
  readonly sslmode: string;
}

/** Reads the URL. @throws {Misuse} when it names no server, or says what is not known */
export function serverOf(url: string, world: World): Server {
  const wrong = (state: string, wanted: string) =>
    new Misuse(`Cannot open hot store "postgres:": ${state}, must be ${wanted}`);
  const shape = "postgres://user@host:port/database?schema=public&sslmode=prefer";
  const parsed = URL.parse(url);
  if (parsed === null) throw wrong("URL cannot be read", shape);
  const { username, password, hostname, port, pathname, searchParams } = parsed;
  const database = decoded(pathname.slice(1));
  if (username === "" || !/^[\w.:[\]-]+$/.test(hostname) || !/^[\w.-]{1,63}$/.test(database)) {
    throw wrong("URL lacks a user, a host or a plain database name", shape);
  }
  for (const name of searchParams.keys()) {
    if (name !== "schema" && name !== "sslmode") throw wrong(`parameter "${name}" is unknown`, "schema or sslmode");
  }
  const schema = searchParams.get("schema") ?? "public";
  if (!/^[a-z_][a-z0-9_]{0,62}$/.test(schema)) throw wrong(`schema is "${schema}"`, "a-z, 0-9 and _, at most 63");
  const sslmode = searchParams.get("sslmode") ?? "prefer";
  if (!SSL_MODES.includes(sslmode)) throw wrong(`sslmode is "${sslmode}"`, `one of ${SSL_MODES.join(", ")}`);
  return {
    user: decoded(username),
    password: decoded(password) || (world.env("TAPEDECK_POSTGRES_PASSWORD") ?? ""),
    host: hostname.replace(/^\[|\]$/g, ""),
    port: port === "" ? 5432 : Number(port),
    database,
    schema,
    sslmode,
  };
}

function decoded(text: string): string {
  return /%(?![0-9a-f]{2})/i.test(text) ? text : decodeURIComponent(text);
}
