/** The command line of the load test: what is asked, and which limits make it fail. */
import {
  atLeast,
  atMost,
  describeOptions,
  type Goal,
  type OptionSpecs,
  type OptionValues,
  parseOptions,
  UsageError,
} from '../bench/bench.ts';
import { DIALECTS } from './player.ts';

/** What one run measured. A number that could not be had is null. */
export interface LoadResult {
  /** Connected at the end. */
  readonly players: number;
  readonly joinsOk: number;
  readonly joinsFailed: number;
  readonly rooms: number;
  /** Connections that ended although nobody asked them to. */
  readonly drops: number;
  /** Players who came back by themselves, as the SDK does. */
  readonly resumes: number;
  /** Players who did not, and will not. */
  readonly lost: number;
  readonly seconds: number;
  /** Per player; so are bytes and inputs. */
  readonly patchesPerSecond: number | null;
  readonly bytesPerSecond: number | null;
  readonly inputsPerSecond: number | null;
  /** From sending an input to the first frame that reports it consumed. */
  readonly ackP50Ms: number | null;
  readonly ackP95Ms: number | null;
  readonly ackP99Ms: number | null;
  /** Wall time of a whole tick on the server, from its own histogram over the window. */
  readonly tickP50Ms: number | null;
  readonly tickP99Ms: number | null;
  readonly inputsSkipped: number;
  readonly driverCpuShare: number | null;
}

interface Threshold {
  readonly measure: keyof LoadResult;
  readonly kind: 'max' | 'min';
  readonly unit: string;
  readonly help: string;
}

const THRESHOLDS = {
  'max-join-failures': { measure: 'joinsFailed', kind: 'max', unit: 'joins', help: 'joins that may fail' },
  'max-drops': { measure: 'drops', kind: 'max', unit: 'drops', help: 'connections that may be lost' },
  'max-lost': { measure: 'lost', kind: 'max', unit: 'players', help: 'players that may not come back by themselves' },
  'max-ack-p50-ms': { measure: 'ackP50Ms', kind: 'max', unit: 'ms', help: 'input to acknowledgement, median' },
  'max-ack-p95-ms': { measure: 'ackP95Ms', kind: 'max', unit: 'ms', help: 'input to acknowledgement, 95 %' },
  'max-ack-p99-ms': { measure: 'ackP99Ms', kind: 'max', unit: 'ms', help: 'input to acknowledgement, 99 %' },
  'max-tick-p50-ms': { measure: 'tickP50Ms', kind: 'max', unit: 'ms', help: 'tick on the server, median' },
  'max-tick-p99-ms': { measure: 'tickP99Ms', kind: 'max', unit: 'ms', help: 'tick on the server, 99 %' },
  'max-bytes-per-second': { measure: 'bytesPerSecond', kind: 'max', unit: 'B/s', help: 'received by one player' },
  'min-patches-per-second': { measure: 'patchesPerSecond', kind: 'min', unit: '1/s', help: 'received by one player' },
  'min-inputs-per-second': { measure: 'inputsPerSecond', kind: 'min', unit: '1/s', help: 'sent by one player' },
} as const satisfies Record<string, Threshold>;

type ThresholdName = keyof typeof THRESHOLDS;
export type Limits = Partial<Record<ThresholdName, number>>;

const OPTIONS = {
  clients: { type: 'number', default: 50, min: 1, max: 20_000, help: 'players in all' },
  seconds: {
    type: 'number',
    default: 15,
    min: 0.1,
    max: 86_400,
    help: 'length of the measured window, after the ramp',
  },
  settle: {
    type: 'number',
    default: 1,
    min: 0,
    max: 600,
    help: 'seconds between the last join and the window: first full states are not the steady state',
  },
  endpoint: { type: 'string', default: 'ws://localhost:2567', help: 'server, http:// or ws://, https:// or wss://' },
  'joins-per-second': { type: 'number', default: 50, min: 0.1, max: 2000, help: 'pace of the ramp' },
  'per-room': {
    type: 'number',
    default: 0,
    min: 0,
    max: 1000,
    help: 'players a room, of servers that let players `create` rooms; this one does not: there HYPOGEUM_MAX_PLAYERS of the server decides',
  },
  rooms: { type: 'number', default: 0, min: 0, max: 10_000, help: 'spread the players over so many rooms; 0 as above' },
  mode: {
    type: 'string',
    default: 'sdk',
    choices: ['sdk', 'light'],
    help: 'sdk decodes every patch and comes back when its connection is lost; light only counts, at a tenth of the cost',
  },
  dialect: { type: 'string', default: 'arena', choices: DIALECTS, help: 'arena, or the peers of the benches' },
  'inputs-per-second': { type: 'number', default: 0, min: 0, max: 240, help: 'a player; 0 is what the server says' },
  workers: { type: 'number', default: 0, min: 0, max: 64, help: 'driver processes; 0 chooses by clients and cores' },
  'distinct-addresses': {
    type: 'boolean',
    help: 'X-Forwarded-For of its own for every player, for a server with HYPOGEUM_PROXY_HOPS=1',
  },
  seed: { type: 'number', default: 1, min: 0, max: 2 ** 31, help: 'decides what the players do' },
  'metrics-url': { type: 'string', default: '', help: 'where ticks are read; empty is /metrics of the endpoint' },
  'metrics-token': { type: 'string', default: '', help: 'bearer token for it; empty is $HYPOGEUM_METRICS_TOKEN' },
  json: { type: 'boolean', help: 'end in one line of JSON on stdout; the table goes to stderr' },
  help: { type: 'boolean', help: 'this text' },
} as const satisfies OptionSpecs;

export type LoadOptions = OptionValues<typeof OPTIONS>;

export interface LoadCommand {
  readonly room: string;
  readonly options: LoadOptions;
  readonly limits: Limits;
}

/** @returns undefined when help was asked for. @throws UsageError naming what is wrong */
export function parseLoadCommand(argv: readonly string[]): LoadCommand | undefined {
  if (argv.includes('--help')) return undefined;
  const rest: string[] = [];
  const limits: Limits = {};
  let room: string | undefined;
  for (let i = 0; i < argv.length; i++) {
    const word = argv[i]!;
    const [flag, inline] = word.includes('=') ? splitOnce(word) : [word, undefined];
    const name = flag.startsWith('--') ? flag.slice(2) : '';
    if (name in THRESHOLDS) {
      const text = inline ?? argv[++i] ?? '';
      const value = text.trim() === '' ? Number.NaN : Number(text);
      if (!(value >= 0)) throw new UsageError(`${flag} wants a number of 0 or more, not ${JSON.stringify(text)}`);
      limits[name as ThresholdName] = value;
    } else if (name !== '') {
      rest.push(word);
      const spec = (OPTIONS as OptionSpecs)[name];
      if (inline === undefined && spec !== undefined && spec.type !== 'boolean' && i + 1 < argv.length) {
        rest.push(argv[++i]!);
      }
    } else if (room === undefined && !word.startsWith('-')) room = word;
    else throw new UsageError(`unexpected ${JSON.stringify(word)}`);
  }
  if (room === undefined) throw new UsageError('which room? For example: npm run loadtest -- arena --clients 50');
  const options = parseOptions(OPTIONS, rest);
  for (const name of ['clients', 'rooms', 'per-room', 'workers', 'seed'] as const) {
    if (!Number.isInteger(options[name])) throw new UsageError(`--${name} is a whole number`);
  }
  if (options.rooms > 0 && options['per-room'] > 0) throw new UsageError('--rooms or --per-room, not both');
  if (!/^(https?|wss?):\/\//.test(options.endpoint) || !URL.canParse(options.endpoint)) {
    throw new UsageError(`--endpoint is http://HOST:PORT or https://HOST, not ${JSON.stringify(options.endpoint)}`);
  }
  return { room, options, limits };
}

/** Every limit as a goal. What could not be measured misses: a limit that nobody checked is not kept. */
export function judge(result: LoadResult, limits: Limits): Goal[] {
  return (Object.keys(limits) as ThresholdName[]).map((name) => {
    const { measure, kind, unit }: Threshold = THRESHOLDS[name];
    const value = result[measure] ?? Number.NaN;
    return (kind === 'max' ? atMost : atLeast)(name, value, limits[name]!, unit);
  });
}

export function loadHelp(): string {
  const thresholds = Object.entries(THRESHOLDS).map(([name, { help, unit }]) => {
    return `  ${`--${name} N`.padEnd(28)} ${help} (${unit})`;
  });
  return [
    'Players over the real SDK: ramp up, measure a window, print what they saw.',
    '',
    'Usage: npm run loadtest -- ROOM [--clients N] [--seconds N] [options]',
    '',
    describeOptions(OPTIONS),
    '',
    'Limits: when one is passed, or could not be measured, the exit code is 1.',
    ...thresholds,
    '',
    'Exit codes: 0 measured, 1 a limit was passed or nobody could join, 2 wrong usage.',
  ].join('\n');
}

function splitOnce(word: string): [string, string] {
  const at = word.indexOf('=');
  return [word.slice(0, at), word.slice(at + 1)];
}
