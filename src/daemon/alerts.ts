/**
 * Tells people by a robot. It listens to the keepers' events and is given a turn by each
 * tick; nothing that it does is waited for, so no refresh is delayed. One message is
 * under way at a time, at most one arrives in a minute, and one that was not taken is
 * tried again until it is.
 */
import { isDeepStrictEqual } from "node:util";
import type { AlertSettings } from "../config/alert-settings.ts";
import type { Clock } from "../core/clock.ts";
import type { Credential } from "../core/credential.ts";
import { StoreError } from "../core/errors.ts";
import type { KeeperEvent, Log } from "../core/ports.ts";
import type { CredentialStatus } from "../core/status.ts";
import type { Trouble } from "../core/trouble.ts";
import type { Http } from "../issuer/http.ts";
import { LinkError } from "../issuer/link-error.ts";
import { writeAlertMemory } from "./alert-memory.ts";
import {
	type AlertFrame,
	alertMessage,
	type Told,
	testMessage,
} from "./alert-text.ts";
import {
	type RobotMessage,
	type RobotRefusal,
	refusalIn,
	refusalOf,
	robotRequest,
} from "./robot.ts";
import { createTroubles, type Remembered, type Troubles } from "./troubles.ts";

/** The alerts of a daemon. */
export interface Alerts {
	/** Takes every event of every keeper. Only takes notes. */
	note(credential: Credential, event: KeeperEvent): void;
	/** Tells something that no status shows, once. `file`: of the credential that it is about. */
	happened(file: string, trouble: Trouble): void;
	/** What is due begins now. Returns at once; called every few seconds. */
	turn(): void;
	/** Sends to that robot from now on; undefined: nobody is told. */
	use(settings: AlertSettings | undefined): void;
	/** Begins nothing any more; resolves when it is written down what was not told. */
	stop(): Promise<void>;
}

export interface AlertsParts {
	/** Of a credential by its file; undefined: it is not kept any more. */
	readonly statusOf: (file: string) => CredentialStatus | undefined;
	/** Of the tokens; there it is remembered what was told. */
	readonly directory: () => string;
	readonly isSimulated: boolean;
	/** Called once, for the first message. */
	readonly makeHttp: () => Pick<Http, "send" | "close">;
	/** The name of this machine. */
	readonly host: string;
	/** Of an earlier process. */
	readonly remembered: readonly Remembered[];
	readonly clock: Clock;
	readonly log: Log;
	readonly onBug: (error: unknown) => void;
}

/** After the first sign of news, others are waited for: most have a common cause. */
const gatherMs = 2_000;

/** As the moment of a sign: there was none. */
const unsigned = Number.NEGATIVE_INFINITY;

/** Between two messages that a robot has taken. */
const gapMs = 60_000;

/** After a failure; doubled after each further one. */
const firstRetryMs = 5_000;
const longestRetryMs = 600_000;

/** Statuses are read no longer than this in one turn. */
const sliceMs = 10;

/** When the next message may leave, and how the last one fared. */
interface Sending {
	/** By the monotonic clock. */
	freeAt: number;
	isUnderWay: boolean;
	/** In a row. */
	failures: number;
	/** The code of the last failure; "" after a success. */
	problem: string;
}

const untried: Sending = {
	...{ freeAt: Number.NEGATIVE_INFINITY, isUnderWay: false },
	...{ failures: 0, problem: "" },
};

/** Nothing is told before the first `use`. */
export function createAlerts(parts: AlertsParts): Alerts {
	const { clock, log } = parts;
	const troubles = createTroubles(parts);
	const keepMemory = createMemory(parts, troubles);
	/** Of the robot in use. */
	let sending = { ...untried };
	let settings: AlertSettings | undefined;
	let http: ReturnType<AlertsParts["makeHttp"]> | undefined;
	const life = {
		isStopped: false,
		/** The first sign of news that no message was made of yet; monotonic. */
		signedAt: unsigned,
	};

	const deliver = async (to: AlertSettings, news: readonly Told[]) => {
		const own = sending;
		const { signedAt } = life;
		own.isUnderWay = true;
		life.signedAt = unsigned;
		http ??= parts.makeHttp();
		const message = alertMessage(news, frameOf(to.language, parts));
		const refusal = await sendTo(http, to, message, clock.now());
		own.isUnderWay = false;
		if (life.isStopped) return;
		if (refusal === undefined) {
			troubles.told(news);
			void keepMemory().catch(parts.onBug);
			logTaken(log, news);
		} else {
			// Those that wait have waited long enough for the others.
			life.signedAt = signedAt;
			if (own.problem !== refusal.code) logRefused(log, refusal);
		}
		afterAnswer(own, refusal, clock.monotonic());
	};

	const sign = () => {
		if (life.signedAt === unsigned) life.signedAt = clock.monotonic();
	};

	return {
		note: ({ file }, event) => {
			if (settings !== undefined && troubles.note(file, event)) sign();
		},
		happened: (file, trouble) => {
			if (settings === undefined) return;
			troubles.happened(file, trouble);
			sign();
		},
		turn: () => {
			if (settings === undefined || life.isStopped) return;
			const began = clock.monotonic();
			troubles.look(
				settings.afterMs,
				() => clock.monotonic() - began > sliceMs,
			);
			void keepMemory().catch(parts.onBug);
			if (sending.isUnderWay || began < sending.freeAt) return;
			const news = troubles.news();
			if (news.length === 0) {
				// What was a sign has led to nothing.
				life.signedAt = unsigned;
				return;
			}
			// A status may tell before the keeper's event does, or without one.
			sign();
			if (began - life.signedAt < gatherMs) return;
			void deliver(settings, news).catch(parts.onBug);
		},
		use: (wanted) => {
			if (isDeepStrictEqual(wanted, settings)) return;
			settings = wanted;
			// The failures were those of another robot.
			sending = { ...untried };
		},
		stop: async () => {
			life.isStopped = true;
			await http?.close();
			await keepMemory();
		},
	};
}

/** Sends that to the robot; whether it was taken. What it says is one line in the log. */
export async function tellOnce(
	http: Pick<Http, "send">,
	settings: AlertSettings,
	news: readonly Told[],
	parts: Pick<AlertsParts, "host" | "isSimulated" | "clock" | "log">,
): Promise<boolean> {
	const message = alertMessage(news, frameOf(settings.language, parts));
	const refusal = await sendTo(http, settings, message, parts.clock.now());
	if (refusal === undefined) logTaken(parts.log, news);
	else logRefused(parts.log, refusal);
	return refusal === undefined;
}

/** Sends a test message. Undefined: the robot took it; else why not. Never throws but for a bug. */
export async function sendTestMessage(
	http: Pick<Http, "send">,
	settings: AlertSettings,
	parts: Pick<AlertsParts, "host" | "isSimulated" | "clock">,
): Promise<RobotRefusal | undefined> {
	const message = testMessage(frameOf(settings.language, parts));
	return sendTo(http, settings, message, parts.clock.now());
}

function frameOf(
	language: AlertSettings["language"],
	{
		host,
		isSimulated,
		clock,
	}: Pick<AlertsParts, "host" | "isSimulated" | "clock">,
): AlertFrame {
	return { language, host, isSimulated, now: clock.now() };
}

/** Undefined: it was taken. */
async function sendTo(
	http: Pick<Http, "send">,
	settings: AlertSettings,
	message: RobotMessage,
	now: number,
): Promise<RobotRefusal | undefined> {
	try {
		const answer = await http.send(robotRequest(settings, message, now));
		return refusalIn(settings.format, answer);
	} catch (error) {
		if (error instanceof LinkError) return refusalOf(error);
		throw error;
	}
}

/** When the next message may leave. */
function afterAnswer(
	sending: Sending,
	refusal: RobotRefusal | undefined,
	now: number,
): void {
	sending.problem = refusal?.code ?? "";
	sending.failures = refusal === undefined ? 0 : sending.failures + 1;
	const retryMs = Math.min(
		longestRetryMs,
		firstRetryMs * 2 ** (sending.failures - 1),
	);
	sending.freeAt =
		now +
		(refusal === undefined ? gapMs : Math.max(retryMs, refusal.waitMs ?? 0));
}

function logTaken(log: Log, news: readonly Told[]): void {
	const over = news.filter(({ endedAt }) => endedAt !== undefined).length;
	log.info(
		{ event: "alert.sent", begun: news.length - over, over },
		"people were told of it",
	);
}

function logRefused(log: Log, { code, cause, hint }: RobotRefusal): void {
	log.warn(
		{ event: "alert.unsent", code, hint },
		`could not send the alert to the robot: ${cause}; it is tried again`,
	);
}

/**
 * Writes down what was told, and what is to be told, when that changes. Resolves when
 * all of it is written, or cannot be.
 */
function createMemory(
	{ directory, isSimulated, log }: AlertsParts,
	{ changes, remembered }: Pick<Troubles, "changes" | "remembered">,
): () => Promise<void> {
	let written = changes();
	let writing: Promise<void> | undefined;
	const writeAll = async () => {
		while (changes() !== written) {
			written = changes();
			try {
				await writeAlertMemory(directory(), remembered());
			} catch (error) {
				if (!(error instanceof StoreError)) throw error;
				// The keepers have the same disk, and tell of it.
				const { code, message } = error;
				log.debug({ event: "alert.forgotten", code }, message);
			}
		}
	};
	return () => {
		// A simulation leaves nothing behind.
		if (isSimulated) return Promise.resolve();
		writing ??= writeAll().finally(() => {
			writing = undefined;
		});
		return writing;
	};
}
