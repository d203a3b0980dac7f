/**
 * The environment, read once: `HYPOGEUM_*` keys to one frozen, typed {@link Config}; every fault in one message.
 *
 * This module imports nothing that loads Colyseus, so that `main.ts` can read the environment before anything
 * else may change it.
 */
import { resolve } from 'node:path';
import { z } from 'zod';
import { GameError } from './kernel/errors.ts';

const PREFIX = 'HYPOGEUM_';

/** What an operator decides. Frozen, also inside. */
export interface Config {
  /** `NODE_ENV` is `production`. */
  readonly isProduction: boolean;
  /** Names the build in logs, metrics and replays. */
  readonly buildId: string;
  /** Absolute path. */
  readonly dataDir: string;
  readonly log: { readonly level: LogLevel };
  readonly http: {
    readonly host: string;
    /** 0 takes any free port. */
    readonly port: number;
    /** Origins of other sites whose pages may play here, such as `https://play.example`. */
    readonly publicOrigins: readonly string[];
    /** Proxies in front, each of which appends to `X-Forwarded-For`. */
    readonly proxyHops: number;
  };
  readonly monitor: { readonly password: string | undefined };
  readonly metrics: { readonly token: string | undefined };
  readonly tokens: {
    /** A private Ed25519 key as a JWK. */
    readonly key: Readonly<Record<string, unknown>> | undefined;
    readonly minutes: number;
  };
  /** Where things are kept; undefined: a private PostgreSQL in the data folder, and no Redis or NATS. */
  readonly stores: {
    readonly databaseUrl: string | undefined;
    readonly redisUrl: string | undefined;
    readonly natsUrl: string | undefined;
  };
  readonly cluster: {
    /** What this process does; without Redis always everything. */
    readonly roles: readonly Role[];
    readonly region: string;
    /** Where players measure the way to each region: origins. Empty: to the region of whoever they asked, on its own address. */
    readonly regionUrls: readonly { readonly region: string; readonly url: string }[];
    /** By which address others reach this process; undefined: the one it listens on. */
    readonly advertise: { readonly host: string; readonly port: number } | undefined;
    /** Matches that this process takes at once. */
    readonly matchSlots: number;
    /** How long a match that no process can play waits for one that can. */
    readonly waitForBuildSeconds: number;
    /** Which build is tried on whom, see src/cluster/canary.ts, until somebody has changed it. */
    readonly canary: string | undefined;
  };
  readonly match: {
    readonly minutes: number;
    /** Bots fill a match up to this many seats. */
    readonly bots: number;
    readonly maxPlayers: number;
    readonly tickRateHz: number;
    readonly patchEveryTicks: number;
    /** What a crash may take back of what players saw: nothing, at most 50 ms, everything. */
    readonly durability: (typeof DURABILITIES)[number];
  };
  readonly replays: { readonly keepMax: number };
  /** How long a drain may take before the process exits all the same. */
  readonly drainSeconds: number;
  /** What becomes of the matches of a process that is alone when it is told to end. */
  readonly atExit: (typeof AT_EXIT)[number];
}

const DURABILITIES = ['wal', 'batch', 'off'] as const;
const AT_EXIT = ['end', 'keep'] as const;
const ROLES = ['gate', 'realtime', 'worker'] as const;
type Role = (typeof ROLES)[number];

const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

interface Key<Output> {
  readonly parse: z.ZodType<Output, string>;
  /** As written in the environment; undefined when the key may stay unset. */
  readonly initial: string | undefined;
  /** Shown instead of `initial` where the default depends on something. */
  readonly initialText?: string;
  readonly help: string;
}

function key<Output>(
  parse: z.ZodType<Output, string>,
  initial: string | undefined,
  help: string,
  initialText?: string,
): Key<Output> {
  return initialText === undefined ? { parse, initial, help } : { parse, initial, help, initialText };
}

function integer(min: number, max: number): z.ZodType<number, string> {
  const wanted = `wanted a whole number, ${min} to ${max}`;
  return z
    .string()
    .regex(/^-?\d{1,9}$/, wanted)
    .transform(Number)
    .refine((n) => n >= min && n <= max, wanted);
}

const origins = z
  .string()
  .transform((text) => text.split(',').map((part) => part.trim()))
  .refine((parts) => parts.every(isOrigin), 'wanted origins such as https://play.example, separated by commas');

function isOrigin(text: string): boolean {
  try {
    const url = new URL(text);
    return (url.protocol === 'https:' || url.protocol === 'http:') && url.origin === text;
  } catch {
    return false;
  }
}

const REGION = '[a-z0-9-]{1,32}';
/** As many as a ticket may have latencies. */
const REGIONS_MAX = 16;
/** Letters that mean nothing in a Content-Security-Policy, where these are written into. */
const PLAIN_ORIGIN = /^https?:\/\/(?:[a-z0-9.-]+|\[[0-9a-f:]+\])(?::\d+)?$/;

const regionUrls = z
  .string()
  .transform((text) =>
    text.split(',').map((part) => {
      const [, region = '', url = ''] = new RegExp(`^(${REGION})=(.+)$`).exec(part.trim()) ?? [];
      return { region, url };
    }),
  )
  .refine(
    (parts) => parts.every(({ url }) => PLAIN_ORIGIN.test(url) && isOrigin(url)),
    'wanted regions with origins such as eu=https://eu.play.example,us=https://us.play.example',
  )
  .refine((parts) => new Set(parts.map(({ region }) => region)).size === parts.length, 'a region is named twice')
  .refine((parts) => parts.length <= REGIONS_MAX, `wanted ${REGIONS_MAX} regions at most`);

const jwk = z.string().transform((text, context): Record<string, unknown> => {
  try {
    const parsed: unknown = JSON.parse(text);
    const shape = z.looseObject({ kty: z.literal('OKP'), crv: z.literal('Ed25519'), x: z.string(), d: z.string() });
    return shape.parse(parsed);
  } catch {
    // The value is a secret: it is not repeated.
    context.addIssue({ code: 'custom', message: 'wanted a private Ed25519 key as a JWK (one line of JSON)' });
    return z.NEVER;
  }
});

/** @param schemes without the colon */
const url = (...schemes: string[]) =>
  z
    .string()
    .max(2048)
    .refine(
      (text) => URL.canParse(text) && schemes.includes(new URL(text).protocol.slice(0, -1)),
      // The value may hold a password: it is not repeated.
      `wanted a URL that begins with ${schemes.map((scheme) => `${scheme}://`).join(' or ')}`,
    );

const roles = z
  .string()
  .transform((text) => [...new Set(text.split(',').map((part) => part.trim()))])
  .pipe(z.array(z.enum(ROLES, `wanted one or more of ${ROLES.join(', ')}, separated by commas`)));

const hostAndPort = z
  .string()
  .max(300)
  .transform((text, context): { host: string; port: number } => {
    const [, bracketed, plain, port] = /^(?:\[([\da-fA-F:]+)\]|([\w.-]+)):(\d{1,5})$/.exec(text) ?? [];
    const host = bracketed ?? plain;
    if (host !== undefined && Number(port) >= 1 && Number(port) <= 65_535) return { host, port: Number(port) };
    context.addIssue({ code: 'custom', message: 'wanted host:port, such as 10.0.0.7:2567' });
    return z.NEVER;
  });

const secret = (min: number) => z.string().min(min, `wanted at least ${min} characters`).max(256, 'wanted at most 256');

/** Matches of 16 players at 30 Hz that one core runs with half of it to spare; see docs/performance.md. */
const SLOTS_PER_CORE = 50;

const KEYS = {
  HYPOGEUM_PORT: key(integer(0, 65_535), '2567', 'TCP port for HTTP and WebSocket; 0 takes any free one.'),
  HYPOGEUM_HOST: key(
    z.string().min(1).max(255),
    undefined,
    'Address to listen on.',
    '127.0.0.1; 0.0.0.0 when NODE_ENV is production',
  ),
  HYPOGEUM_DATA: key(
    z.string().min(1).max(4096),
    '.data',
    'Folder for keys, journals and replays; made when missing, relative to the working directory.',
  ),
  HYPOGEUM_LOG_LEVEL: key(z.enum(LOG_LEVELS), 'info', `One of ${LOG_LEVELS.join(', ')}.`),
  HYPOGEUM_BUILD_ID: key(
    z.string().regex(/^[\w.+-]{1,64}$/, 'wanted 1 to 64 letters, digits and . _ + -'),
    'dev',
    'Names this build in logs, metrics and replays.',
  ),
  HYPOGEUM_PUBLIC_ORIGINS: key(
    origins,
    undefined,
    'Other sites whose pages may play here, separated by commas. The own origin always may; in development every page on this machine may.',
    'none',
  ),
  HYPOGEUM_PROXY_HOPS: key(
    integer(0, 5),
    '0',
    'Proxies in front of the process. Player addresses are taken from that many entries of X-Forwarded-For; with 0 the header is ignored.',
  ),
  HYPOGEUM_MONITOR_PASSWORD: key(
    secret(8),
    undefined,
    'Password of /monitor/ (any user name), 8 characters or more.',
    'generated at first start and printed once',
  ),
  HYPOGEUM_METRICS_TOKEN: key(
    secret(16),
    undefined,
    'When set, /metrics wants it as a bearer token; 16 characters or more.',
    'none: /metrics is open',
  ),
  HYPOGEUM_TOKEN_KEY: key(
    jwk,
    undefined,
    'Key that signs player tokens: a private Ed25519 key as a JWK.',
    'each process has its own, changed daily, and knows those of the others',
  ),
  HYPOGEUM_TOKEN_MINUTES: key(integer(1, 1440), '15', 'How long a player token is good for, minutes.'),
  DATABASE_URL: key(
    url('postgres', 'postgresql'),
    undefined,
    'PostgreSQL 15 or newer, such as postgres://user:password@host:5432/name.',
    'a private PostgreSQL in the data folder, started and stopped with the process',
  ),
  REDIS_URL: key(
    url('redis', 'rediss'),
    undefined,
    'Redis, by which several processes are one cluster, for journals of matches and leaderboards, such as redis://host:6379/0.',
    'none: one process for itself, leaderboards in memory, journals in files',
  ),
  HYPOGEUM_ROLES: key(
    roles,
    ROLES.join(','),
    `What this process does in a cluster: ${ROLES.join(', ')}, separated by commas. One without Redis does everything.`,
  ),
  HYPOGEUM_REGION: key(
    z.string().regex(new RegExp(`^${REGION}$`), 'wanted 1 to 32 lower-case letters, digits and -'),
    'local',
    'Where this process runs; new matches go to processes of the region in which they are asked for, if it has room.',
  ),
  HYPOGEUM_REGION_URLS: key(
    regionUrls,
    undefined,
    'By which public address players measure the way to each region of the cluster, separated by commas: eu=https://eu.play.example,us=https://us.play.example. The same for all processes.',
    'none: players measure the region of the process that they asked',
  ),
  HYPOGEUM_ADVERTISE: key(
    hostAndPort,
    undefined,
    'Address and port by which the other processes of the cluster reach this one, such as 10.0.0.7:2567.',
    'what it listens on; 127.0.0.1 if that is every address',
  ),
  HYPOGEUM_MATCH_SLOTS: key(
    integer(1, 10_000),
    String(SLOTS_PER_CORE),
    'Matches that this process takes at once in a cluster. The default is for one core, which is what a process uses.',
  ),
  HYPOGEUM_CANARY: key(
    z
      .string()
      .regex(
        /^build=[\w.+-]{1,64},(?:percent=(?:100|[1-9]?\d)|cohort=[a-z][a-z0-9-]{0,31})$/,
        'wanted build=ID,percent=N or build=ID,cohort=NAME',
      ),
    undefined,
    'Build that gets a share of new matches, or those of a cohort: build=1.4.0,percent=10 or build=1.4.0,cohort=testers. Only until `npm run cluster -- canary` has set another.',
    'none: new matches go to any build',
  ),
  HYPOGEUM_WAIT_FOR_BUILD_SECONDS: key(
    integer(1, 86_400),
    '120',
    'How long a match whose process died, and that no process of the cluster can play, waits for one of its build, seconds; then it is parked.',
  ),
  NATS_URL: key(
    url('nats', 'tls'),
    undefined,
    'NATS with JetStream, to which events are relayed for other programs, such as nats://host:4222.',
    'none: events stay in the log',
  ),
  HYPOGEUM_BACKUP_KEY: key(
    secret(16),
    undefined,
    'Encrypts what `npm run backup` writes, 16 characters or more; the server itself does not use it.',
    'none: there are no backups without it',
  ),
  HYPOGEUM_MATCH_MINUTES: key(integer(1, 60), '5', 'Length of the live phase of a match, minutes.'),
  HYPOGEUM_BOTS: key(integer(0, 128), '4', 'Bots fill a match up to this many players; 0 for none.'),
  HYPOGEUM_MAX_PLAYERS: key(integer(2, 128), '16', 'Seats of a match.'),
  HYPOGEUM_TICK_RATE: key(integer(10, 60), '30', 'Simulation steps per second. The arena is tuned for 30.'),
  HYPOGEUM_PATCH_EVERY_TICKS: key(integer(1, 6), '1', 'Ticks from one state patch to the next.'),
  HYPOGEUM_DURABILITY: key(
    z.enum(DURABILITIES, `wanted one of ${DURABILITIES.join(', ')}`),
    undefined,
    'What a crash may take back of what players saw: wal nothing, batch at most 50 ms, off all of it (nothing is recorded, and there are no replays).',
    'wal with REDIS_URL, batch without',
  ),
  HYPOGEUM_REPLAYS_KEEP: key(
    integer(1, 100_000),
    '200',
    'Replays kept on disk; unfinished matches go first, then the oldest.',
  ),
  HYPOGEUM_DRAIN_SECONDS: key(integer(1, 600), '20', 'Longest time from SIGTERM to exit, seconds.'),
  HYPOGEUM_AT_EXIT: key(
    z.enum(AT_EXIT, `wanted one of ${AT_EXIT.join(', ')}`),
    'end',
    'What becomes of matches at SIGTERM without REDIS_URL: end, recorded as cut short, or keep, for the next start to go on with. A cluster moves them.',
  ),
} as const;

type KeyName = keyof typeof KEYS;
type Values = { [Name in KeyName]: z.output<(typeof KEYS)[Name]['parse']> | undefined };

/**
 * Reads the environment. An empty value counts as unset, as container tools pass it.
 * @throws GameError CONFIG_INVALID whose `detail.faults` names every fault: values out of range, relations that do
 *   not hold, and `HYPOGEUM_*` keys that do not exist (with the nearest that does)
 */
export function readConfig(environment: Readonly<Record<string, string | undefined>>): Config {
  const faults: string[] = [];
  const values = {} as Record<KeyName, unknown>;
  for (const [name, { parse, initial }] of Object.entries(KEYS) as [KeyName, Key<unknown>][]) {
    const text = environment[name]?.trim() || initial;
    if (text === undefined) continue;
    const parsed = parse.safeParse(text);
    if (parsed.success) values[name] = parsed.data;
    else faults.push(`${name}: ${parsed.error.issues.map((issue) => issue.message).join(', ')}`);
  }
  for (const name of Object.keys(environment)) {
    if (!name.startsWith(PREFIX) || name in KEYS) continue;
    const near = nearestKey(name);
    faults.push(`${name}: there is no such key${near === undefined ? '' : `; did you mean ${near}?`}`);
  }
  const { HYPOGEUM_BOTS: bots, HYPOGEUM_MAX_PLAYERS: maxPlayers, ...rest } = values as Values;
  const areBotsAsked = (environment['HYPOGEUM_BOTS']?.trim() ?? '') !== '';
  if (areBotsAsked && bots !== undefined && maxPlayers !== undefined && bots > maxPlayers) {
    faults.push(`HYPOGEUM_BOTS: ${bots} bots do not fit into HYPOGEUM_MAX_PLAYERS=${maxPlayers}`);
  }
  const { HYPOGEUM_REGION: region, HYPOGEUM_REGION_URLS: urls } = rest;
  if (region !== undefined && urls !== undefined && !urls.some((one) => one.region === region)) {
    faults.push(`HYPOGEUM_REGION_URLS: HYPOGEUM_REGION=${region} is not among them`);
  }
  if (faults.length > 0) throw new GameError('CONFIG_INVALID', { faults });

  const isProduction = environment['NODE_ENV'] === 'production';
  return deepFreeze({
    isProduction,
    buildId: rest.HYPOGEUM_BUILD_ID!,
    dataDir: resolve(rest.HYPOGEUM_DATA!),
    log: { level: rest.HYPOGEUM_LOG_LEVEL! },
    http: {
      host: rest.HYPOGEUM_HOST ?? (isProduction ? '0.0.0.0' : '127.0.0.1'),
      port: rest.HYPOGEUM_PORT!,
      publicOrigins: rest.HYPOGEUM_PUBLIC_ORIGINS ?? [],
      proxyHops: rest.HYPOGEUM_PROXY_HOPS!,
    },
    monitor: { password: rest.HYPOGEUM_MONITOR_PASSWORD },
    metrics: { token: rest.HYPOGEUM_METRICS_TOKEN },
    tokens: { key: rest.HYPOGEUM_TOKEN_KEY, minutes: rest.HYPOGEUM_TOKEN_MINUTES! },
    stores: { databaseUrl: rest.DATABASE_URL, redisUrl: rest.REDIS_URL, natsUrl: rest.NATS_URL },
    cluster: {
      roles: rest.REDIS_URL === undefined ? ROLES : rest.HYPOGEUM_ROLES!,
      region: rest.HYPOGEUM_REGION!,
      regionUrls: rest.HYPOGEUM_REGION_URLS ?? [],
      advertise: rest.HYPOGEUM_ADVERTISE,
      matchSlots: rest.HYPOGEUM_MATCH_SLOTS!,
      canary: rest.HYPOGEUM_CANARY,
      waitForBuildSeconds: rest.HYPOGEUM_WAIT_FOR_BUILD_SECONDS!,
    },
    match: {
      minutes: rest.HYPOGEUM_MATCH_MINUTES!,
      bots: Math.min(bots!, maxPlayers!),
      maxPlayers: maxPlayers!,
      tickRateHz: rest.HYPOGEUM_TICK_RATE!,
      patchEveryTicks: rest.HYPOGEUM_PATCH_EVERY_TICKS!,
      durability: rest.HYPOGEUM_DURABILITY ?? (rest.REDIS_URL === undefined ? 'batch' : 'wal'),
    },
    replays: { keepMax: rest.HYPOGEUM_REPLAYS_KEEP! },
    drainSeconds: rest.HYPOGEUM_DRAIN_SECONDS!,
    atExit: rest.HYPOGEUM_AT_EXIT!,
  });
}

/** Whether the process is to be a gate and nothing else: without rooms, stores of its own or a client to serve. */
export function isGateAlone({ cluster: { roles }, stores }: Config): boolean {
  return stores.redisUrl !== undefined && roles.length === 1 && roles[0] === 'gate';
}

/** What `.env.example` holds: every key, commented out, with its default. */
export function envExample(): string {
  const lines = [
    '# Every setting of Hypogeum with its default. Copy to .env and take the # away from what you change.',
    '# Written by `npm run env:example`; a test keeps it current. NODE_ENV=production changes the defaults named so.',
    '',
  ];
  for (const [name, { initial, initialText, help }] of Object.entries(KEYS) as [KeyName, Key<unknown>][]) {
    lines.push(...wrap(help, 110).map((line) => `# ${line}`));
    if (initialText !== undefined) lines.push(`# Default: ${initialText}.`);
    lines.push(`#${name}=${initial ?? ''}`, '');
  }
  return lines.join('\n');
}

/** The table that `--help` prints. */
export function configHelp(): string {
  const width = Math.max(...Object.keys(KEYS).map((name) => name.length)) + 2;
  return (Object.entries(KEYS) as [KeyName, Key<unknown>][])
    .flatMap(([name, { initial, initialText, help }]) =>
      wrap(`${help} Default: ${initialText ?? initial}.`, 100 - width).map(
        (line, at) => `  ${(at === 0 ? name : '').padEnd(width)}${line}`,
      ),
    )
    .join('\n');
}

/** Names of all keys, for the documentation's test. */
export function configKeys(): readonly string[] {
  return Object.keys(KEYS);
}

function wrap(text: string, columns: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > columns) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line];
}

function nearestKey(name: string): string | undefined {
  let nearest: string | undefined;
  let leastEdits = Math.ceil(name.length / 3);
  for (const known of Object.keys(KEYS)) {
    // A singular or a cut-off name is near, however many letters are missing.
    const edits = known.startsWith(name) || name.startsWith(known) ? 1 : editDistance(name, known);
    if (edits < leastEdits) {
      leastEdits = edits;
      nearest = known;
    }
  }
  return nearest;
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, at) => at);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)));
    }
    row = next;
  }
  return row[b.length]!;
}

function deepFreeze<T extends object>(value: T): T {
  for (const inner of Object.values(value)) if (typeof inner === 'object' && inner !== null) deepFreeze(inner);
  return Object.freeze(value);
}
