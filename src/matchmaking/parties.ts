/**
 * Parties: who wants to come into the same match. One player leads; others come by an invitation code. What changes a
 * party cancels its ticket in the same change, so nobody is matched with who has left.
 */
import { randomInt } from 'node:crypto';
import { GameError } from '../kernel/errors.ts';
import type { TicketCells } from './ticket-cells.ts';
import { playerTopic, type SeatIdentity, type TicketStore } from './ticket-store.ts';
import { type Transaction, transact } from './transaction.ts';

/** Players of a party, at most; a mode may take smaller ones only. */
export const PARTY_MAX = 8;
/** A party that nobody looks at is forgotten after this, ms. */
const PARTY_LIFE_MS = 7_200_000;
/** How long an invitation is good, ms. */
export const CODE_LIFE_MS = 1_800_000;
export const CODE_CHARS = 8;
/** Nothing that looks like something else; 31^8 codes, of which a player may try some ten a minute. */
const CODE_ALPHABET = '23456789ABCDEFGHJKLMNPQRSTUVWXY';
/** Codes tried until one is free. */
const CODE_TRIES_MAX = 8;

export interface PartyMember {
  readonly identity: SeatIdentity;
  readonly name: string | null;
  /** As the client measured and the server clamped them, ms by region. */
  readonly latencies: Readonly<Record<string, number>>;
}

export interface Party {
  readonly partyId: string;
  readonly code: string;
  /** By the store's clock, ms. */
  readonly codeEndsAtMs: number;
  readonly leaderId: string;
  /** In the order in which they came; the next one leads when the leader leaves. */
  readonly members: readonly PartyMember[];
  /** Grows with every change. */
  readonly version: number;
}

const partyCell = (partyId: string): string => `party/${partyId}`;
const memberCell = (playerId: string): string => `party-of/${playerId}`;
const codeCell = (code: string): string => `code/${code}`;

export class Parties {
  readonly #cells: TicketCells;
  readonly #tickets: TicketStore;
  readonly #newPartyId: () => string;

  constructor(tickets: TicketStore, newPartyId: () => string) {
    this.#cells = tickets.cells;
    this.#tickets = tickets;
    this.#newPartyId = newPartyId;
  }

  /** @throws GameError STORE_UNAVAILABLE */
  async of(playerId: string): Promise<Party | undefined> {
    const [text] = await this.#cells.read([memberCell(playerId)]);
    if (text === undefined) return undefined;
    const [party] = await this.#cells.read([partyCell(JSON.parse(text) as string)]);
    const found = party === undefined ? undefined : (JSON.parse(party) as Party);
    return found !== undefined && hasMember(found, playerId) ? found : undefined;
  }

  /** Keeps the party of a player from being forgotten. @throws GameError STORE_UNAVAILABLE */
  async noteSeen(playerId: string): Promise<void> {
    await transact(this.#cells, async (tx) => {
      const party = await this.#partyOf(tx, playerId);
      if (party !== undefined) this.#keep(tx, party);
    });
  }

  /** A party of one. @throws GameError PARTY_MEMBER, STORE_UNAVAILABLE */
  async create(leader: PartyMember): Promise<Party> {
    return transact(this.#cells, async (tx) => {
      const { playerId } = leader.identity;
      if ((await this.#partyOf(tx, playerId)) !== undefined) throw new GameError('PARTY_MEMBER');
      const party: Party = {
        partyId: this.#newPartyId(),
        ...(await this.#newCode(tx)),
        leaderId: playerId,
        members: [leader],
        version: 1,
      };
      this.#write(tx, party);
      return party;
    });
  }

  /**
   * Comes into the party of an invitation; nothing for who is in it already. What the newcomer waited for alone is
   * cancelled, as is what the party waited for.
   * @throws GameError PARTY_UNKNOWN, PARTY_FULL, PARTY_MEMBER, STORE_UNAVAILABLE
   */
  async join(code: string, member: PartyMember): Promise<Party> {
    return transact(this.#cells, async (tx) => {
      const { playerId } = member.identity;
      const partyId = await tx.read<string>(codeCell(code));
      const party = partyId === undefined ? undefined : await tx.read<Party>(partyCell(partyId));
      if (party === undefined || party.code !== code || party.codeEndsAtMs <= tx.nowMs) {
        throw new GameError('PARTY_UNKNOWN');
      }
      if (hasMember(party, playerId)) return party;
      if ((await this.#partyOf(tx, playerId)) !== undefined) throw new GameError('PARTY_MEMBER');
      if (party.members.length >= PARTY_MAX) throw new GameError('PARTY_FULL', { playersMax: PARTY_MAX });
      await this.#cancelTickets(tx, party, playerId);
      await this.#cancelTicketOf(tx, playerId, playerId);
      return this.#change(tx, party, { members: [...party.members, member] });
    });
  }

  /** Tells what is new of a member. @throws GameError PARTY_UNKNOWN, STORE_UNAVAILABLE */
  async update(member: PartyMember): Promise<Party> {
    return transact(this.#cells, async (tx) => {
      const { playerId } = member.identity;
      const party = await this.#partyOf(tx, playerId);
      if (party === undefined) throw new GameError('PARTY_UNKNOWN');
      return this.#change(tx, party, {
        members: party.members.map((one) => (one.identity.playerId === playerId ? member : one)),
      });
    });
  }

  /** A new invitation; the old one is void. @throws GameError PARTY_UNKNOWN, PARTY_NOT_LEADER, STORE_UNAVAILABLE */
  async renewCode(leaderId: string): Promise<Party> {
    return transact(this.#cells, async (tx) => {
      const party = await this.#ledBy(tx, leaderId);
      tx.remove(codeCell(party.code));
      return this.#change(tx, party, await this.#newCode(tx));
    });
  }

  /** Leaves; nothing for who is in none. The last one ends the party. @throws GameError STORE_UNAVAILABLE */
  async leave(playerId: string): Promise<void> {
    await transact(this.#cells, async (tx) => {
      const party = await this.#partyOf(tx, playerId);
      if (party !== undefined) await this.#without(tx, party, playerId, playerId);
    });
  }

  /** @throws GameError PARTY_UNKNOWN (also for who is not in it), PARTY_NOT_LEADER, STORE_UNAVAILABLE */
  async kick(leaderId: string, playerId: string): Promise<Party> {
    return transact(this.#cells, async (tx) => {
      const party = await this.#ledBy(tx, leaderId);
      if (playerId === leaderId || !hasMember(party, playerId)) throw new GameError('PARTY_UNKNOWN', { playerId });
      return (await this.#without(tx, party, playerId, leaderId))!;
    });
  }

  async #without(tx: Transaction, party: Party, playerId: string, byPlayerId: string): Promise<Party | undefined> {
    await this.#cancelTickets(tx, party, byPlayerId);
    tx.remove(memberCell(playerId));
    tx.tell(playerTopic(playerId));
    const members = party.members.filter(({ identity }) => identity.playerId !== playerId);
    const [next] = members;
    if (next === undefined) {
      tx.remove(partyCell(party.partyId));
      tx.remove(codeCell(party.code));
      return undefined;
    }
    const leaderId = party.leaderId === playerId ? next.identity.playerId : party.leaderId;
    return this.#change(tx, party, { members, leaderId });
  }

  async #cancelTickets(tx: Transaction, party: Party, byPlayerId: string): Promise<void> {
    for (const { identity } of party.members) await this.#cancelTicketOf(tx, identity.playerId, byPlayerId);
  }

  async #cancelTicketOf(tx: Transaction, playerId: string, byPlayerId: string): Promise<void> {
    const live = await this.#tickets.liveWithin(tx, playerId);
    if (live !== undefined) await this.#tickets.cancelWithin(tx, live.ticket.ticketId, 'PARTY_CHANGED', byPlayerId);
  }

  async #partyOf(tx: Transaction, playerId: string): Promise<Party | undefined> {
    const partyId = await tx.read<string>(memberCell(playerId));
    const party = partyId === undefined ? undefined : await tx.read<Party>(partyCell(partyId));
    return party !== undefined && hasMember(party, playerId) ? party : undefined;
  }

  async #ledBy(tx: Transaction, playerId: string): Promise<Party> {
    const party = await this.#partyOf(tx, playerId);
    if (party === undefined) throw new GameError('PARTY_UNKNOWN');
    if (party.leaderId !== playerId) throw new GameError('PARTY_NOT_LEADER');
    return party;
  }

  async #newCode(tx: Transaction): Promise<Pick<Party, 'code' | 'codeEndsAtMs'>> {
    for (let attempt = 1; ; attempt++) {
      const code = Array.from({ length: CODE_CHARS }, () => CODE_ALPHABET[randomInt(CODE_ALPHABET.length)]).join('');
      const isFree = (await tx.read(codeCell(code))) === undefined;
      if (isFree) return { code, codeEndsAtMs: tx.nowMs + CODE_LIFE_MS };
      if (attempt === CODE_TRIES_MAX) throw new GameError('OVERLOADED', { tries: CODE_TRIES_MAX });
    }
  }

  #change(tx: Transaction, party: Party, change: Partial<Party>): Party {
    const changed: Party = { ...party, ...change, version: party.version + 1 };
    this.#write(tx, changed);
    return changed;
  }

  #write(tx: Transaction, party: Party): void {
    this.#keep(tx, party);
    for (const { identity } of party.members) tx.tell(playerTopic(identity.playerId));
  }

  #keep(tx: Transaction, party: Party): void {
    tx.write(partyCell(party.partyId), party, PARTY_LIFE_MS);
    const codeLifeMs = party.codeEndsAtMs - tx.nowMs;
    if (codeLifeMs > 0) tx.write(codeCell(party.code), party.partyId, codeLifeMs);
    for (const { identity } of party.members) tx.write(memberCell(identity.playerId), party.partyId, PARTY_LIFE_MS);
  }
}

function hasMember(party: Party, playerId: string): boolean {
  return party.members.some(({ identity }) => identity.playerId === playerId);
}
