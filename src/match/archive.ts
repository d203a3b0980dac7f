/** From journal to replay file: what becomes of a match once it has ended. */
import { createHmac } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { ByteReader, ByteWriter } from '../kernel/bytes.ts';
import { readEntryHead, writeEntryHead } from '../kernel/entry-codec.ts';
import { GameError } from '../kernel/errors.ts';
import { type Hash64, hashText } from '../kernel/hash.ts';
import { HASH_EVERY_TICKS, REPLAY_LIMITS, type Replay, type ReplayPlayer } from '../kernel/replay-file.ts';
import type { RecordedMatch } from './journal.ts';

/** Replaces a player id by its pseudonym: always the same one, from which the id cannot be told. */
export type Pseudonym = (playerId: string) => string;

/** Entries handled before other work of the process gets its turn. */
const ENTRIES_PER_TURN = 500;
const PSEUDONYM_CHARS = 16;

/** Pseudonyms that cannot be recomputed without the key; bots stay without an id. */
export function keyedPseudonym(key: Uint8Array): Pseudonym {
  return (playerId) =>
    playerId === '' ? '' : createHmac('sha256', key).update(playerId).digest('base64url').slice(0, PSEUDONYM_CHARS);
}

/**
 * A recorded match as a replay: entries, every 30th hash, players (the first 4,096) and result; without snapshots and sessions, and
 * with pseudonyms for player ids, as replays are public. Needs no simulation, so a match of any version can be kept.
 * @throws GameError JOURNAL_CORRUPT if an entry cannot be read
 */
export async function replayOf(recorded: RecordedMatch, pseudonym: Pseudonym): Promise<Replay> {
  // Which room it was is nobody's business, and what clients decoded is over.
  const { roomId: _room, schemaHash: _schema, isPrivate: _private, traceId: _trace, ...header } = recorded.header;
  const { end } = recorded;
  const players: { -readonly [Key in keyof ReplayPlayer]: ReplayPlayer[Key] }[] = [];
  const seated = new Map<number, (typeof players)[number]>();
  const entries: Uint8Array[] = [];
  const hashes: Hash64[] = [];
  const rewritten = new ByteWriter();
  for (const { tick, bytes, hash } of recorded.entries) {
    if (tick % ENTRIES_PER_TURN === ENTRIES_PER_TURN - 1) await nextTurn();
    if ((tick + 1) % HASH_EVERY_TICKS === 0) hashes.push(hash);
    try {
      const from = new ByteReader(bytes);
      const { events } = readEntryHead(from);
      if (events.length === 0) {
        entries.push(bytes);
        continue;
      }
      const published = events.map((event) =>
        event.kind === 'join' ? { ...event, playerId: pseudonym(event.playerId) } : event,
      );
      writeEntryHead(rewritten.clear(), { tick, events: published });
      entries.push(rewritten.raw(from.raw(from.remaining)).bytes());
      for (const event of published) {
        const former = seated.get(event.seat);
        if (former !== undefined) former.leftTick = tick;
        seated.delete(event.seat);
        if (event.kind === 'leave') continue;
        const { seat, name, playerId, isBot } = event;
        const player = { seat, name, playerId, isBot, joinedTick: tick };
        // Joining and leaving again and again must not cost everybody the replay; the entries have them all.
        if (players.length === REPLAY_LIMITS.players) continue;
        players.push(player);
        seated.set(seat, player);
      }
    } catch (error) {
      throw new GameError(
        'JOURNAL_CORRUPT',
        { matchId: header.matchId, tick, reason: (error as Error).message },
        error,
      );
    }
  }
  const last = recorded.entries.at(-1);
  return {
    header: {
      ...header,
      players,
      ...(end === undefined
        ? {}
        : {
            result: {
              reason: end.result.reason,
              standings: end.result.standings.map((row) => ({ ...row, playerId: pseudonym(row.playerId) })),
            },
          }),
      ticks: entries.length,
      finalHash: last === undefined ? '' : hashText(last.hash),
      hashEveryTicks: HASH_EVERY_TICKS,
    },
    entries,
    hashes,
  };
}
