/**
 * The queue as a room: who joins it waits for a match, hears where it stands and why, and is given its seat. A thin way to
 * the same tickets as over HTTP (src/matchmaking); the framework's own QueueRoom believes the rank that a client claims.
 *
 * Messages to the client: `ticket` whenever its ticket changes and about every two seconds, `matched` with the seat once
 * there is one, `cancelled` with a code. From it: `ready` answers a ready check. Who leaves does not wait any more; who
 * loses its connection does, for as long as it may come back.
 */
import {
  type Client,
  CloseCode,
  ErrorCode,
  type MessageContext,
  type Messages,
  Room,
  ServerError,
} from '@colyseus/core';
import * as z from 'zod';
import { CLOSE, GameError } from '../src/kernel/errors.ts';
import { checkName } from '../src/kernel/names.ts';
import { CommandBudgets } from '../src/match/command-budgets.ts';
import type { Matchmaking, TicketView } from '../src/matchmaking/matchmaking.ts';
import { ticketRequest } from '../src/matchmaking/routes.ts';
import type { Admitted } from '../src/sessions/tokens.ts';
import type { Revoked, RoomServices } from './room-services.ts';

/** Who waits in one room; with more, the framework makes another. */
const CLIENTS_MAX = 1_000;
/** Frames a second, above which the framework drops the client. */
const MESSAGES_PER_SECOND_MAX = 20;
/** Seconds in which who lost its connection keeps its ticket. */
const RECONNECT_SECONDS = 60;
const SEAT_RESERVATION_SECONDS = 8;
/** A ticket is told again after this at the latest, ms: its place and the reason change without it. */
const TOLD_EVERY_MS = 2_000;
/** After the seat or the end was told, this long for the client to leave by itself, ms. */
const FAREWELL_MS = 10_000;
/** How long a question that failed waits before it is asked again, ms. */
const RETRY_MS = 1_000;

type Waiting = Client<{ auth: Admitted }>;

/** What else is there, the framework or a client has put there; a rank that is claimed counts for nothing. */
const joinOptions = ticketRequest.strip();
const readyAnswer = z.strictObject({ isReady: z.boolean() });

export class QueueRoom extends Room<{ client: Waiting }> {
  override maxClients = CLIENTS_MAX;
  override maxMessagesPerSecond = MESSAGES_PER_SECOND_MAX;
  override seatReservationTimeout = SEAT_RESERVATION_SECONDS;
  /** There is no state to patch. */
  override patchRate = null;
  override messages: Messages<Room> = {
    _: () => {
      // Ignored, not punished: an older or a newer client is no attacker.
      this.#services.totals.room.unknownMessages++;
    },
    ready: (client: Client, payload: unknown, ctx?: MessageContext) => this.#ready(client as Waiting, payload, ctx),
  };
  #services!: RoomServices;
  #matchmaking!: Matchmaking;
  readonly #budgets = new CommandBudgets();
  /** By session: what ends the following of its ticket. */
  readonly #following = new Map<string, AbortController>();
  #stopRevocations: () => void = () => {};

  override onCreate({ services }: { services: RoomServices }): void {
    if (services.matchmaking === undefined) throw new Error('this server has no matchmaking');
    this.#services = services;
    this.#matchmaking = services.matchmaking;
    this.#stopRevocations = services.revocations?.onRevoked((revoked) => this.#throwOut(revoked)) ?? (() => {});
  }

  override async onJoin(client: Waiting, options: unknown): Promise<void> {
    try {
      const ticket = await this.#enter(client, options);
      client.send('ticket', ticket);
      this.#follow(client);
    } catch (error) {
      const refusal = error instanceof GameError ? error : this.#bug(error, 'onJoin');
      this.#services.totals.room.joinsRefused.add(refusal.code);
      throw new ServerError(ErrorCode.APPLICATION_ERROR, refusal.message);
    }
  }

  /** Its connection is lost: the ticket is kept, and so is its place. */
  override async onDrop(client: Waiting, code?: number): Promise<void> {
    const isThrownOut = code === CloseCode.WITH_ERROR || Object.values<number | undefined>(CLOSE).includes(code);
    if (isThrownOut || this.#following.get(client.sessionId)?.signal.aborted !== false) return;
    try {
      await this.allowReconnection(client, RECONNECT_SECONDS);
    } catch {
      // It did not come back: onLeave follows.
    }
  }

  override onReconnect(client: Waiting): void {
    this.#follow(client);
  }

  override async onLeave(client: Waiting, code?: number): Promise<void> {
    const wasFollowed = this.#following.get(client.sessionId)?.signal.aborted === false;
    this.#following.get(client.sessionId)?.abort();
    this.#following.delete(client.sessionId);
    this.#budgets.forget(client.sessionId);
    // At a drain the player waits on, and joins the queue of another process.
    if (!wasFollowed || code === CloseCode.SERVER_SHUTDOWN || client.auth === undefined) return;
    try {
      const ticket = await this.#matchmaking.ticketOf(client.auth.playerId, { waitMs: 0, signal: NEVER });
      if (ticket.state === 'queued' || ticket.state === 'ready-check') {
        await this.#matchmaking.cancel(client.auth.playerId);
      }
    } catch (error) {
      // Nobody will ask for it any more, so it is abandoned soon.
      if (!(error instanceof GameError)) this.#bug(error, 'onLeave');
    }
  }

  override onDispose(): void {
    this.#stopRevocations();
    for (const following of this.#following.values()) following.abort();
  }

  /** The framework passes refusals of a join along here, too. */
  override onUncaughtException(error: Error, method: string): void {
    if (!(error.cause instanceof ServerError)) this.#bug(error, method);
  }

  /** The ticket that the player waits on already, or a new one. */
  async #enter(client: Waiting, options: unknown): Promise<TicketView> {
    if (client.auth === undefined) throw new GameError('AUTH_MISSING');
    this.#services.revocations?.check(client.auth.signInId);
    const parsed = joinOptions.safeParse(options);
    if (!parsed.success) throw new GameError('INVALID_INPUT', { at: parsed.error.issues[0]?.path.join('.') ?? '' });
    const { mode, latencies, name } = parsed.data;
    const identity = client.auth;
    const entrant = { identity, latencies, name: name === undefined ? null : checkName(name) };
    try {
      return await this.#matchmaking.enqueue(entrant, mode, null);
    } catch (error) {
      const isWaiting = error instanceof GameError && ['TICKET_EXISTS', 'PARTY_NOT_LEADER'].includes(error.code);
      if (!isWaiting) throw error;
      // Of before a reload, of a drained process, or made by the leader of its party.
      const own = await this.#matchmaking
        .ticketOf(identity.playerId, { waitMs: 0, signal: NEVER })
        .catch(() => undefined);
      const isLive = own?.state === 'queued' || own?.state === 'ready-check';
      if (own === undefined || !isLive || own.mode !== mode) throw error;
      return own;
    }
  }

  /** Tells the client of its ticket until that has ended or the client has gone. */
  #follow(client: Waiting): void {
    this.#following.get(client.sessionId)?.abort();
    const following = new AbortController();
    this.#following.set(client.sessionId, following);
    void this.#tell(client, following.signal).catch((error: unknown) => this.#bug(error, 'follow'));
  }

  async #tell(client: Waiting, signal: AbortSignal): Promise<void> {
    const { playerId } = client.auth!;
    let tag: string | undefined;
    while (!signal.aborted) {
      let ticket: TicketView;
      try {
        const wait = { waitMs: TOLD_EVERY_MS, signal };
        ticket = await this.#matchmaking.ticketOf(playerId, tag === undefined ? wait : { ...wait, tag });
      } catch (error) {
        if (!(error instanceof GameError)) throw error;
        if (error.code === 'TICKET_UNKNOWN') {
          this.#end(client, 'cancelled', { code: error.code });
          return;
        }
        // The store is away: the ticket waits, and so does who waits for it.
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
        continue;
      }
      if (signal.aborted) return;
      tag = ticket.tag;
      client.send('ticket', ticket);
      if (ticket.state === 'matched') {
        this.#end(client, 'matched', { matchId: ticket.match?.matchId, seat: ticket.match?.seat });
        return;
      }
      if (ticket.state === 'cancelled') {
        this.#end(client, 'cancelled', { code: ticket.code, byPlayerId: ticket.byPlayerId });
        return;
      }
    }
  }

  /** There is nothing to wait for any more. */
  #end(client: Waiting, type: 'matched' | 'cancelled', facts: object): void {
    this.#following.get(client.sessionId)?.abort();
    client.send(type, facts);
    this.clock.setTimeout(() => {
      if (this.clients.getById(client.sessionId) === client) client.leave(CloseCode.CONSENTED);
    }, FAREWELL_MS);
  }

  async #ready(client: Waiting, payload: unknown, ctx: MessageContext | undefined): Promise<unknown> {
    try {
      this.#budgets.spend(client.sessionId, performance.now());
      const parsed = readyAnswer.safeParse(payload);
      if (!parsed.success) throw new GameError('INVALID_INPUT', { at: 'isReady' });
      return await this.#matchmaking.answerReadyCheck(client.auth!.playerId, parsed.data.isReady);
    } catch (error) {
      const { code, detail } = error instanceof GameError ? error : this.#bug(error, 'ready');
      this.#services.totals.room.refusals.add(code);
      if (ctx?.id !== undefined) return ctx.reject({ ...detail, code });
      client.send('notice', { ...detail, code });
      return undefined;
    }
  }

  /** A sign-in ended: its client is shown out, and what it waited for is cancelled with that. */
  #throwOut({ sessionId, code }: Revoked): void {
    for (const client of this.clients) {
      if (client.auth?.signInId !== sessionId) continue;
      this.kickClient(client.sessionId, code === 'ACCOUNT_BANNED' ? CLOSE.BANNED : CLOSE.SIGNED_OUT, code);
    }
  }

  #bug(error: unknown, method: string): GameError {
    this.#services?.totals.room.faults.add(method);
    this.#services?.log.error({ err: error, method }, 'bug in the queue');
    return new GameError('INTERNAL');
  }
}

/** Of a question that is not waited for. */
const NEVER = new AbortController().signal;
