/**
 * Every bound of the process and its HTTP surface, with unit and reason. An operator changes configuration, a designer
 * changes tuning; this is what an engineer changes. Bounds of the match machinery stand beside the code they bound
 * (`src/match`), which may not import this file.
 */
import assert from 'node:assert/strict';

export const LIMITS = Object.freeze({
  /** Body of an HTTP request, bytes. Join options and sign-in are under 1 KB. Above: 413 TOO_LARGE, connection closed. */
  httpBodyBytesMax: 64 * 1024,
  /** All headers of one request, bytes. Above: 431 by Node. */
  httpHeadersBytesMax: 16 * 1024,
  /** From connecting (or the end of the previous request) to the last header, ms. Above: 408, closed. */
  httpHeadersMs: 5_000,
  /** From connecting to the last byte of the body, ms. Above: 408, closed. */
  httpRequestMs: 10_000,
  /** How often Node looks for connections past those two, ms. */
  httpTimeoutCheckMs: 1_000,
  /** An idle kept-alive connection, ms. */
  httpKeepAliveMs: 5_000,

  /** Connections of the process. Above: the newest is closed. One core serves about 3,000 players. */
  socketsMax: 20_000,
  /** Connections of one remote address (of IPv6, of one /64); loopback and trusted proxies are exempt. Above: the newest is closed. */
  socketsPerAddressMax: 512,
  /**
   * Connections of one remote address (of IPv6, of one /64) that have not yet sent a whole request. Above: the *oldest* of them is closed, so
   * that somebody who holds many open cannot keep an honest neighbour (or another player behind one NAT) out.
   */
  unfinishedPerAddressMax: 128,
  /** Age from which an unfinished connection may be closed that way, ms: a burst of honest ones is accepted before any is read. */
  unfinishedGraceMs: 1_000,

  /** Path and query of a request, characters. Above: 400. */
  httpTargetCharsMax: 2_048,

  /** Frame from a client, bytes. Above: the WebSocket is closed with 1009. An input frame is under 40. */
  socketFrameBytesMax: 4 * 1024,
  /**
   * WebSocket heartbeat of the transport, ms, and how many may stay unanswered before the socket is terminated. A dead
   * one is found within `(socketPingsMissedMax + 2) * socketPingMs`, of which one may pass before the first is sent.
   */
  socketPingMs: 2_500,
  socketPingsMissedMax: 2,

  /** Joins (`/matchmake`) of one address: burst, and refill per second. Above: 429 RATE_LIMITED. */
  joinBurst: 20,
  joinsPerSecond: 2,
  /** Sign-ins (`/auth`) of one address: burst, and refill per second. Above: 429 RATE_LIMITED. */
  signInBurst: 20,
  signInsPerSecond: 1,
  /** Wrong passwords for one e-mail from one network, and from one network for all: burst, and refill per second. */
  wrongPerPairBurst: 10,
  wrongPerPairPerSecond: 1 / 60,
  wrongPerNetworkBurst: 50,
  wrongPerNetworkPerSecond: 1 / 10,
  /** Other requests that cost a disk read or a fold (`/api`, `/metrics`, `/monitor`) of one address. */
  queryBurst: 60,
  queriesPerSecond: 20,
  /**
   * What one player may ask of `/api` and `/auth`, whatever its addresses, loopback included: questions (GET), and
   * commands, of which each costs a durable append. A trade window that is dragged about makes about 5 a second.
   */
  playerQuestionBurst: 100,
  playerQuestionsPerSecond: 20,
  playerCommandBurst: 60,
  playerCommandsPerSecond: 10,
  /** Tickets and parties that one player begins: burst, and refill per second. Above: 429. */
  queueingBurst: 20,
  queueingsPerSecond: 1 / 2,
  /** Invitation codes that one player, or one network, tries: burst, and refill per second. There are 31^8 codes. */
  inviteBurst: 20,
  invitesPerSecond: 1 / 6,
  /** Wrong passwords (monitor, metrics) of one address: burst, and refill per second. Above: 429, whatever comes. */
  wrongPasswordBurst: 10,
  wrongPasswordsPerSecond: 1 / 6,
  /** Addresses that one rate limiter remembers. Above: those longest unseen are forgotten. */
  rateAddressesMax: 10_000,

  /**
   * WebSockets that this process passes on to others: each takes two connections. Above: 503 OVERLOADED, an SDK tries
   * again and may come to another gate.
   */
  gateTunnelsMax: 10_000,
  /** Of them, those of one address (of IPv6, of one /64). Above: 429 RATE_LIMITED. */
  gateTunnelsPerAddressMax: 512,
  /** Upgrades that are not decided yet, held ones among them: all players of a full process that died. Above: 503 OVERLOADED. */
  gateWaitingMax: 4_000,
  /** Of them, those of one address: more players than sit behind one router. Above: 429 RATE_LIMITED. */
  gateWaitingPerAddressMax: 64,
  /** How long an upgrade is held while nobody runs its room, ms. Above: 503 ROOM_MOVING, an SDK tries again. */
  gateHoldMs: 20_000,
  /** While upgrades are held for a room, the directory is asked where it is this often, ms: announcements can be missed. */
  gateReaskMs: 500,
  /** From dialling an owner to the first line of its answer, ms. Above: taken for frozen, the upgrade is held. */
  gateAnswerMs: 2_000,
  /** After one end of a tunnel has ended, the other is cut, ms. */
  gateLingerMs: 5_000,
  /** What a client may send before its upgrade is answered, bytes: an honest one sends nothing. Above: 413 TOO_LARGE. */
  gateWaitingBytesMax: 4 * 1024,
  /** HTTP requests that a gate passes on at once. Above: 503 OVERLOADED. */
  gateRequestsMax: 2_000,
  /** Body that a gate passes on, bytes: more than a process reads before it says TOO_LARGE itself. Above: 413 by the gate. */
  gateRequestBodyBytesMax: 1024 * 1024 + 4 * 1024,
  /** Until a process accepts a connection for a request, ms. Above: another one is tried. */
  gateConnectMs: 1_000,
  /** Until it begins to answer, ms: longer than the longest join. Above: 503 PROCESS_UNAVAILABLE. */
  gateRequestAnswerMs: 15_000,
  /** Connections for requests to one process; more requests wait for one. */
  gateConnectionsPerProcessMax: 256,
  /** Rooms whose last owner is remembered, for when the directory does not answer. Above: the one longest unheard of goes. */
  gateOwnersKeptMax: 20_000,

  /** Replays that one answer of `/api/replays` names. */
  replaysListedMax: 100,
});

assert.ok(LIMITS.httpHeadersMs <= LIMITS.httpRequestMs, 'headers are part of the request');
assert.ok(LIMITS.unfinishedGraceMs < LIMITS.httpHeadersMs, 'a full table sheds before the timeout does');
assert.ok(LIMITS.unfinishedPerAddressMax < LIMITS.socketsPerAddressMax, 'unfinished connections are connections');
assert.ok(LIMITS.socketsPerAddressMax < LIMITS.socketsMax, 'one address cannot take every connection');
assert.ok(2 * LIMITS.gateTunnelsMax <= LIMITS.socketsMax, 'a tunnel is two connections');
assert.ok(LIMITS.gateWaitingPerAddressMax < LIMITS.gateWaitingMax, 'one address cannot take every place');
assert.ok(
  LIMITS.gateReaskMs < LIMITS.gateAnswerMs && LIMITS.gateAnswerMs < LIMITS.gateHoldMs,
  'held ones are tried again',
);
assert.ok(
  (LIMITS.socketPingsMissedMax + 2) * LIMITS.socketPingMs <= 10_000,
  'the seat of a dead connection waits from within 10 s on',
);
assert.ok(LIMITS.socketFrameBytesMax < LIMITS.httpBodyBytesMax, 'frames are smaller than requests');
assert.ok(LIMITS.httpTimeoutCheckMs < LIMITS.httpHeadersMs, 'timeouts are noticed when they pass, not much later');
