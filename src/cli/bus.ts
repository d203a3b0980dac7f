/**
 * `npm run bus -- status | parked …`: how far consumers and reactors are, and what is to become of events that they
 * failed on. All of it may run beside servers. Exit codes: 0 fine, 1 there is no such parked event, 2 wrong usage,
 * 3 something cannot be read.
 */
import type { Writable } from 'node:stream';
import { parseArgs } from 'node:util';
import { isMissing, NatsLink, STREAM } from '../adapters/nats-link.ts';
import { PostgresLog } from '../adapters/postgres-log.ts';
import { PostgresParked } from '../adapters/postgres-parked.ts';
import { PostgresViews } from '../adapters/postgres-views.ts';
import { EVENTS } from '../events/catalogue.ts';
import type { EventCatalogue } from '../events/event.ts';
import type { ParkedEvent, ParkedEvents } from '../events/event-bus.ts';
import { cliEnvironment, openCliDatabase } from './database.ts';
import { endWithReader, exitCodeOf, print, safe, UsageError } from './frame.ts';
import { lagOf, table } from './views.ts';

const USAGE = `Usage: npm run bus -- COMMAND [options]

  status                           how far consumers, reactors and the relay to NATS are, and what NATS holds
  parked list [CONSUMER]           events that were given up on, oldest first, at most 1000
  parked show CONSUMER POSITION    one of them, with its payload
  parked replay CONSUMER POSITION  sends it back: the consumer gets it again in a second or two, if it runs
  parked discard CONSUMER POSITION forgets it; it stays in the log

CONSUMER is bus/NAME or reactor/NAME, as listed; POSITION is the event's place in the log.

  --data DIR            data folder (default: HYPOGEUM_DATA or .data), unless DATABASE_URL is set
  --json                one line of JSON instead of text
  --help                this text

Exit codes: 0 fine, 1 there is no such parked event, 2 wrong usage, 3 something cannot be read.
`;

const EXIT = { FINE: 0, NONE: 1 } as const;
const REASON_SHOWN = 60;

export interface BusCliContext {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly stdout: Writable;
  readonly stderr: Writable;
  readonly catalogue?: EventCatalogue;
}

interface Options {
  readonly command: 'status' | 'list' | 'show' | 'replay' | 'discard';
  readonly consumer: string | undefined;
  readonly position: number;
  readonly dataDir: string;
  readonly isJson: boolean;
}

/** @returns the exit code; never rejects for what a user or a database does wrong */
export async function runBusCli(argv: readonly string[], context: BusCliContext): Promise<number> {
  try {
    const options = parse(argv, context);
    if (options === undefined) {
      await print(context.stdout, USAGE);
      return EXIT.FINE;
    }
    const databaseUrl = context.env['DATABASE_URL'];
    const { database, close } = await openCliDatabase({ databaseUrl, dataDir: options.dataDir });
    const parked = new PostgresParked(database);
    try {
      if (options.command !== 'status') return await handleParked(parked, options, context);
      const store = new PostgresViews(database);
      const log = new PostgresLog({ database, catalogue: context.catalogue ?? EVENTS });
      try {
        await status(store, log, parked, options, context);
      } finally {
        await log.close();
        await store.close();
      }
      return EXIT.FINE;
    } finally {
      await close();
    }
  } catch (error) {
    return exitCodeOf(error, context.stderr, USAGE);
  }
}

function parse(argv: readonly string[], { env }: BusCliContext): Options | undefined {
  let parsed: ReturnType<typeof parseBusArgs>;
  try {
    parsed = parseBusArgs(argv);
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
  const { values, positionals } = parsed;
  if (values.help) return undefined;
  const rest = { dataDir: values.data ?? env['HYPOGEUM_DATA'] ?? '.data', isJson: values.json === true };
  const [group = '', command = '', consumer, place, ...more] = positionals;
  if (group === 'status' && positionals.length === 1) {
    return { command: 'status', consumer: undefined, position: 0, ...rest };
  }
  if (group !== 'parked') {
    throw new UsageError(group === '' ? 'A command is needed.' : `No command ${safe(positionals.join(' '))}.`);
  }
  if (command === 'list' && place === undefined) return { command, consumer, position: 0, ...rest };
  if (command !== 'show' && command !== 'replay' && command !== 'discard') {
    throw new UsageError('parked is followed by list, show, replay or discard.');
  }
  const position = Number(place);
  if (
    consumer === undefined ||
    !/^[1-9]\d{0,15}$/.test(place ?? '') ||
    !Number.isSafeInteger(position) ||
    more.length > 0
  ) {
    throw new UsageError(`parked ${command} takes a consumer and a position.`);
  }
  return { command, consumer, position, ...rest };
}

function parseBusArgs(argv: readonly string[]) {
  return parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: { data: { type: 'string' }, json: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } },
  });
}

async function handleParked(
  parked: ParkedEvents,
  options: Options,
  { stdout, stderr }: BusCliContext,
): Promise<number> {
  const { command, consumer, position, isJson } = options;
  if (command === 'list') {
    const events = await parked.list(consumer);
    await print(stdout, isJson ? `${JSON.stringify(events)}\n` : listText(events));
    return EXIT.FINE;
  }
  const found = await parked.get(consumer!, position);
  const isThere =
    found !== undefined &&
    (command === 'show' ||
      (await (command === 'replay' ? parked.replay : parked.remove).call(parked, consumer!, position)));
  if (!isThere) {
    await print(stderr, `Nothing is parked for ${safe(consumer!)} at position ${position}.\n`);
    return EXIT.NONE;
  }
  if (isJson || command === 'show') await print(stdout, `${JSON.stringify(found, null, isJson ? 0 : 2)}\n`);
  else {
    const text = command === 'replay' ? 'Sent back to its consumer.' : 'Discarded; it stays in the log.';
    await print(stdout, `${found.event.type} at position ${position}: ${text}\n`);
  }
  return EXIT.FINE;
}

function listText(events: readonly ParkedEvent[]): string {
  if (events.length === 0) return 'Nothing is parked.\n';
  const rows = events.map(({ consumer, event, attempts, reason, parkedAtMs, isReplaying }) => [
    consumer,
    `${event.position}`,
    event.type,
    `${attempts}`,
    new Date(parkedAtMs).toISOString().slice(0, 19).replace('T', ' '),
    isReplaying ? 'sent back' : 'parked',
    reason.length > REASON_SHOWN ? `${reason.slice(0, REASON_SHOWN)}…` : reason,
  ]);
  return table([['consumer', 'position', 'type', 'tries', 'since', 'state', 'reason'], ...rows]);
}

async function status(
  store: PostgresViews,
  log: PostgresLog,
  parked: ParkedEvents,
  { isJson }: Options,
  { stdout, env }: BusCliContext,
): Promise<void> {
  const head = await log.head();
  const stands = (await store.checkpoints()).filter(({ name }) => !name.startsWith('view/'));
  const lags = await lagOf(log, head, stands);
  const counts = await parked.counts();
  const names = new Set([...lags.map(({ name }) => name), ...counts.keys()]);
  const consumers = [...names].sort().map((name) => {
    const at = lags.find((each) => each.name === name);
    return { name, position: 0, lagEvents: head, lagSeconds: 0, ...at, parked: counts.get(name) ?? 0 };
  });
  const natsUrl = env['NATS_URL']?.trim();
  const nats = natsUrl ? await natsStatus(natsUrl) : undefined;
  if (isJson) {
    await print(stdout, `${JSON.stringify({ head, consumers, nats: nats ?? null })}\n`);
    return;
  }
  const cells = consumers.map((each) => [
    each.name,
    `${each.position}`,
    `${each.lagEvents}`,
    `${each.lagSeconds} s`,
    `${each.parked}`,
  ]);
  await print(stdout, table([['name', 'position', 'events behind', 'for', 'parked'], ...cells]));
  await print(stdout, `The log ends at ${head}.\n`);
  if (nats === undefined) await print(stdout, 'NATS_URL is not set: consumers follow the log itself.\n');
  else
    await print(
      stdout,
      `NATS holds ${nats.messages} messages, ${nats.bytes} bytes, for ${nats.consumers} consumers.\n`,
    );
}

interface NatsStatus {
  readonly messages: number;
  readonly bytes: number;
  readonly consumers: number;
}

async function natsStatus(url: string): Promise<NatsStatus> {
  const link = new NatsLink({ url });
  try {
    return await link.run(async ({ jsm }) => {
      try {
        const { state } = await jsm.streams.info(STREAM);
        return { messages: state.messages, bytes: state.bytes, consumers: state.consumer_count };
      } catch (error) {
        // The relay makes the stream; a command only looks.
        if (isMissing(error)) return { messages: 0, bytes: 0, consumers: 0 };
        throw error;
      }
    });
  } finally {
    await link.close();
  }
}

if (import.meta.main) {
  endWithReader();
  const { stdout, stderr } = process;
  process.exitCode = await runBusCli(process.argv.slice(2), { env: cliEnvironment(), stdout, stderr });
}
