/**
 * The smallest way to a world that can be recorded, restored and compared: all that decides is one array of 32-bit
 * integers, each word with a name, and beside it who sits in which seat. A game on it writes its rules and nothing
 * else. Pure; see docs/your-own-game.md.
 */
import { ByteReader, ByteWriter } from './bytes.ts';
import { GameError } from './errors.ts';
import { crc32, type Hash64, hashWords } from './hash.ts';
import type { SeatEvent, Simulation } from './simulation.ts';

/** Who sits in a seat: for scoreboards, never for rules. */
export interface Sitter {
  readonly name: string;
  readonly playerId: string;
  readonly isBot: boolean;
}

export interface WordWorld {
  /** All that decides; lengths, counts and flags included. */
  readonly words: Int32Array;
  /** By seat. */
  readonly sitters: (Sitter | undefined)[];
}

export interface WordLayout {
  /** Raised with every change of the names or of the rules, 1 to 255. */
  readonly version: number;
  /** Words that there are once. */
  readonly head: readonly string[];
  /** Words that every seat has. */
  readonly seat: readonly string[];
  /** 1 to 128. */
  readonly maxSeats: number;
}

/** What a simulation takes over as it is, and what helps to write the rest. */
export interface WordWorlds
  extends Pick<Simulation<WordWorld, unknown>, 'encode' | 'decode' | 'hash' | 'fields' | 'maxSeats' | 'version'> {
  /** All words 0, nobody seated. */
  empty(): WordWorld;
  /** Where the words of a seat begin. */
  seatAt(seat: number): number;
  /** Seats or unseats who the event says, and clears the words of the seat; false if there is no such seat. */
  sit(world: WordWorld, event: SeatEvent): boolean;
}

/** @throws RangeError for a version or number of seats out of range, or a name that stands twice */
export function wordWorlds({ version, head, seat, maxSeats }: WordLayout): WordWorlds {
  if (!Number.isInteger(version) || version < 1 || version > 255) throw new RangeError('version is 1 to 255');
  if (!Number.isInteger(maxSeats) || maxSeats < 1 || maxSeats > 128) throw new RangeError('maxSeats is 1 to 128');
  const names = [
    ...head,
    ...Array.from({ length: maxSeats }, (_, i) => seat.map((name) => `seats.${i}.${name}`)).flat(),
  ];
  if (new Set(names).size !== names.length) throw new RangeError('two words have one name');
  const seatAt = (index: number): number => head.length + index * seat.length;

  return {
    version,
    maxSeats,
    empty: () => ({ words: new Int32Array(names.length), sitters: new Array(maxSeats).fill(undefined) }),
    seatAt,

    sit({ words, sitters }, event) {
      if (event.seat >= maxSeats) return false;
      words.fill(0, seatAt(event.seat), seatAt(event.seat + 1));
      const { kind, seat: _seat, ...sitter } = { playerId: '', isBot: false, name: '', ...event };
      sitters[event.seat] = kind === 'join' ? sitter : undefined;
      return true;
    },

    encode({ words, sitters }) {
      const to = new ByteWriter(words.length * 4 + 64).u8(version).varint(words.length);
      for (const word of words) to.i32(word);
      for (const sitter of sitters) {
        to.u8(sitter === undefined ? 0 : sitter.isBot ? 2 : 1);
        if (sitter !== undefined) to.string(sitter.name).string(sitter.playerId);
      }
      return to.u32(crc32(to.view())).bytes();
    },

    decode(bytes) {
      if (bytes[0] !== version) throw new GameError('SNAPSHOT_VERSION', { version: bytes[0] ?? 'none' });
      try {
        const body = bytes.subarray(0, -4);
        if (crc32(body) !== new ByteReader(bytes.subarray(-4)).u32()) throw new RangeError('the checksum differs');
        const from = new ByteReader(body.subarray(1));
        if (from.varint() !== names.length) throw new RangeError('another number of words');
        const words = Int32Array.from(names, () => from.i32());
        const sitters = Array.from({ length: maxSeats }, (): Sitter | undefined => {
          const kind = from.u8();
          return kind === 0 ? undefined : { name: from.string(), playerId: from.string(), isBot: kind === 2 };
        });
        return { words, sitters };
      } catch (cause) {
        throw new GameError('SNAPSHOT_CORRUPT', { reason: (cause as Error).message }, cause);
      }
    },

    hash: ({ words }, out: Hash64) => hashWords(words, words.length, out),

    *fields({ words }) {
      for (const [at, name] of names.entries()) yield [name, words[at]!] as const;
    },
  };
}
