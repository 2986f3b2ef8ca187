/* commit.pml - the store's commit and recovery protocol (doc/store.md), for Promela's checker spin.
 *
 * One process is the store: its writer, its helper threads and its recovery, one step at a time. Between
 * any two steps it may be killed, or the power may be cut. The disk is the worst one that is still
 * honest: of what was written and not flushed, any subset is on it, and a record may be half there; of what was
 * renamed, removed or committed without a flush, any of it has happened. What a write leaves on the
 * disk is chosen at the write, which covers every choice that a later cut could make. A flush may
 * fail: then what it should have written is not dirty any more, and the cache may show what the disk does not have.
 *
 * A message is one record: its body and what it does to the index. Batches have one or two records and
 * begin at an even slot, as the real ones begin at a sector. The index is a value with the
 * position of its last record in it. After every recovery: what was acknowledged is there once and can be
 * read, what was refused is not there, and an honest disk is never called damaged.
 *
 * `wrong` is 0, or one of the mistakes below: test/model/run checks that all is well without one, and that each is found.
 */
#ifndef CRASHES
#define CRASHES 2
#endif
#ifndef FAULTS
#define FAULTS 1 /* flushes that fail */
#endif

/* A flush that is left out: */
#define NO_LOG_FLUSH 1
#define NO_RECOVERY_FLUSH 2
#define NO_SEGMENT_FLUSH 3
#define NO_SEGMENT_FOLDER_FLUSH 4
#define NO_START_FOLDER_FLUSH 5
#define NO_BLOB_FLUSH 6
#define NO_BLOB_FOLDER_FLUSH 7
#define NO_CHECKPOINT_FLUSH 8
/* Something done too early: */
#define ANSWER_BEFORE_FLUSH 9
#define COMMIT_BEFORE_FLUSH 10
#define REMOVE_BEFORE_CHECKPOINT 11
#define SWEEP_BEFORE_REPLAY 12
#define REPLAY_COMMITS_ANYWHERE 13
#define COMMIT_THOUGH_NOT_REPAIRED 14
/* Others: */
#define FLUSH_TRIED_AGAIN 15
#define TAIL_NOT_WRITTEN_AGAIN 16
#define SECTOR_SHARED_BY_BATCHES 17
#define CALLS_FORGOTTEN 18

#define MESSAGES 3
#define SEGMENTS 3
#define SLOTS 4
#define CELLS 12 /* SEGMENTS * SLOTS */
#define RECORDS 14
#define WITH_BLOB 0 /* the message whose body is a file of its own */
#define NOWHERE 255
#define IN_BLOB 254
#define TORN 255 /* neither zero nor a record */

byte wrong = 0;

mtype = { NEW, UNKNOWN, ACKNOWLEDGED, REFUSED };

typedef index_state {
	byte cell;  /* of the last record; NOWHERE: at the beginning */
	byte last;  /* that record: its number stands for its checksum */
	byte batch; /* of that record */
	byte count[MESSAGES];
	byte place[MESSAGES]; /* of the body: a cell, IN_BLOB */
};

/* What was ever written: the number of a record is unique, as its checksum is. */
byte made = 0;
byte of_message[RECORDS], of_batch[RECORDS], after[RECORDS];
bit is_move[RECORDS], ends_batch[RECORDS];

/* The log: what the page cache shows, and what the disk has. Slot 0 of a segment is its first record. */
byte cache[CELLS], disk[CELLS];
bit dirty[CELLS];
bit named[SEGMENTS], named_on_disk[SEGMENTS], whole_on_disk[SEGMENTS];

/* The index: the open transaction, what is committed, what of it a power cut leaves. */
index_state live, committed, on_disk;
bit behind = 0;
bit free_to_go[SEGMENTS]; /* no body in it, and the index is past it, in the main file */

/* The blob: 0 nothing, 1 written, 2 flushed, 3 renamed, 4 its folder is flushed */
byte blob = 0;
bit blob_content = 0, blob_name = 0; /* on the disk */

mtype told[MESSAGES];
byte crashes = 0, faults = 0;

/* of the running process */
byte at_cell, at_last, at_batch; /* where the log stands */
byte batch_n, batch_of[2];
bit batch_moves;
byte i, j, k, got, start, broken, replayed;
bit complete, clean_next, failed;

#define SEG(c) ((c) / SLOTS)
#define WANTS(m) (told[m] == NEW || told[m] == UNKNOWN)
#define MORE (crashes < CRASHES) /* else nothing will be lost that was not lost before */
#define DONE(n) (!batch_moves && wrong != CALLS_FORGOTTEN && live.count[batch_of[n]])
#define LIVES(m) (live.count[m] && live.place[m] < SLOTS) /* its body is in the first segment */
#define STOP_HERE                                                                                  \
	if                                                                                         \
	:: crashes < CRASHES -> crashes++; goto killed                                             \
	:: crashes < CRASHES -> crashes++; goto power_cut                                          \
	:: skip                                                                                    \
	fi

inline copy_index(to, from)
{
	to.cell = from.cell;
	to.last = from.last;
	to.batch = from.batch;
	i = 0;
	do
	:: i < MESSAGES -> to.count[i] = from.count[i]; to.place[i] = from.place[i]; i++
	:: else -> break
	od;
	i = 0
}

/* A write into the cache; the disk gets it, half of it, or nothing. */
inline write_cell(c, what)
{
	atomic {
		if
		:: disk[c] != what -> if :: disk[c] = what :: disk[c] = TORN :: skip fi
		:: else
		fi;
		cache[c] = what;
		dirty[c] = 1
	}
}

/* failed: what was dirty is on the disk or is not; the cache keeps it or reads it again. */
inline flush_log()
{
	atomic {
		failed = 0;
		if
		:: faults < FAULTS -> faults++; failed = 1
		:: skip
		fi;
		i = 0;
		do
		:: i < CELLS ->
			if
			:: dirty[i] && !failed -> disk[i] = cache[i]
			:: dirty[i] && failed -> if :: cache[i] = disk[i] :: skip fi
			:: else
			fi;
			dirty[i] = 0;
			i++
		:: else -> break
		od;
		i = 0
	}
}

/* COMMIT writes and does not flush. */
inline commit_index()
{
	atomic {
		live.cell = at_cell;
		live.last = at_last;
		live.batch = at_batch;
		d_step { copy_index(committed, live) };
		behind = 0;
		if
		:: d_step { copy_index(on_disk, live) }
		:: skip
		fi
	}
}

inline apply(r, c)
{
	k = of_message[r];
	if
	:: is_move[r] -> live.place[k] = c
	:: else ->
		live.count[k]++;
		live.place[k] = (k == WITH_BLOB -> IN_BLOB : c)
	fi;
	k = 0
}

/* The record at cell c follows the position. */
inline follows(c)
{
	got = (cache[c] != 0 && cache[c] != TORN && (at_cell == NOWHERE || after[cache[c]] == at_last))
}

/* Every body that the index names is there, whole. */
inline check_bodies()
{
	i = 0;
	do
	:: i < MESSAGES ->
		if
		:: live.count[i] && live.place[i] == IN_BLOB -> assert(blob == 4 && blob_content && blob_name)
		:: live.count[i] && live.place[i] != IN_BLOB ->
			k = live.place[i];
			assert(named[SEG(k)] && cache[k] != 0 && cache[k] != TORN);
			assert(of_message[cache[k]] == i);
			k = 0
		:: else
		fi;
		i++
	:: else -> break
	od;
	i = 0
}

inline check()
{
	d_step {
		i = 0;
		do
		:: i < MESSAGES ->
			assert(live.count[i] <= 1);                               /* once */
			assert(told[i] != ACKNOWLEDGED || live.count[i] == 1);    /* nothing is lost */
			assert(told[i] != REFUSED || live.count[i] == 0);
			i++
		:: else -> break
		od;
		check_bodies()
	}
}

/* A file that no body names goes. */
inline sweep()
{
	d_step {
		if
		:: live.count[WITH_BLOB] == 0 -> blob = 0; blob_content = 0; blob_name = 0
		:: else
		fi
	}
}

/* A segment is zeros and flushed before it gets its name. */
inline make_segment(s)
{
	d_step {
		i = 0;
		do
		:: i < SLOTS -> cache[s * SLOTS + i] = 0; disk[s * SLOTS + i] = 0; dirty[s * SLOTS + i] = 0; i++
		:: else -> break
		od;
		i = 0
	};
	atomic {
		if
		:: whole_on_disk[s] = 1
		:: wrong == NO_SEGMENT_FLUSH -> whole_on_disk[s] = 0
		fi;
		named[s] = 1;
		if :: named_on_disk[s] = 1 :: skip fi
	};
	STOP_HERE;
	if
	:: wrong != NO_SEGMENT_FOLDER_FLUSH -> named_on_disk[s] = 1
	:: else
	fi
}

/* Where the next batch begins; NOWHERE: the log is full, which refuses it. Makes a segment when it must. */
inline batch_begin()
{
	if
	:: at_cell == NOWHERE -> start = 0
	:: else -> start = at_cell + 2 - at_cell % 2
	fi;
	if
	:: start >= CELLS -> start = NOWHERE
	:: start < CELLS && !named[SEG(start)] -> make_segment(SEG(start))
	:: else
	fi
}

inline add(m, moves)
{
	batch_of[batch_n] = m;
	batch_moves = moves;
	batch_n++
}

inline answer_batch()
{
	d_step {
		i = 0;
		do
		:: i < batch_n -> if :: !batch_moves -> told[batch_of[i]] = ACKNOWLEDGED :: else fi; i++
		:: else -> break
		od;
		i = 0
	}
}

inline log_stands()
{
	d_step { at_cell = start + batch_n - 1; at_last = made; at_batch++ }
}

/* The records of the batch: resolved and applied in the open transaction. */
inline seal_batch()
{
	d_step {
		i = 0;
		do
		:: i < batch_n ->
			made++;
			assert(made < RECORDS);
			of_message[made] = batch_of[i];
			is_move[made] = batch_moves;
			of_batch[made] = at_batch + 1;
			after[made] = (i == 0 -> at_last : made - 1);
			ends_batch[made] = (i == batch_n - 1);
			apply(made, start + i);
			i++
		:: else -> break
		od;
		i = 0
	}
}

init {
	c_code { now.wrong = getenv("WRONG") ? (uchar)atoi(getenv("WRONG")) : 0; };
	d_step {
		live.cell = NOWHERE; committed.cell = NOWHERE; on_disk.cell = NOWHERE;
		i = 0;
		do
		:: i < MESSAGES -> told[i] = NEW; i++
		:: else -> break
		od;
		i = 0
	};
	goto recover;

power_cut:
	skip;
	d_step {
		i = 0;
		do
		:: i < CELLS -> cache[i] = disk[i]; dirty[i] = 0; i++
		:: else -> break
		od;
		i = 0;
		do
		:: i < SEGMENTS ->
			named[i] = named_on_disk[i];
			/* what is not named is a .new at most, and is removed */
			j = 0;
			do
			:: j < SLOTS && !named[i] -> cache[i * SLOTS + j] = 0; disk[i * SLOTS + j] = 0; j++
			:: else -> break
			od;
			i++
		:: else -> break
		od;
		j = 0;
		copy_index(committed, on_disk);
		/* the names of a blob that was not flushed into its folder may be anything */
		blob = (blob == 4 || blob_content && blob_name -> 4 : 0)
	};
killed:
	skip;
	d_step {
		copy_index(live, committed);
		behind = 0;
		i = 0;
		do
		:: i < batch_n ->
			if :: !batch_moves && told[batch_of[i]] == NEW -> told[batch_of[i]] = UNKNOWN :: else fi;
			i++
		:: else -> break
		od;
		i = 0;
		batch_n = 0; batch_moves = 0; batch_of[0] = 0; batch_of[1] = 0; at_cell = 0; at_last = 0; at_batch = 0;
		free_to_go[0] = 0; free_to_go[1] = 0; free_to_go[2] = 0;
		start = 0; broken = 0; replayed = 0; complete = 0; clean_next = 0; failed = 0; k = 0; j = 0; got = 0
	};

recover:
	skip;
	if
	:: wrong == SWEEP_BEFORE_REPLAY -> sweep()
	:: else
	fi;
	/* the position that the index knows must be there */
	d_step {
		at_cell = live.cell; at_last = live.last; at_batch = live.batch;
		assert(at_cell == NOWHERE || (named[SEG(at_cell)] && cache[at_cell] == at_last));
		complete = 1;
		start = NOWHERE /* of the last batch that is replayed */
	};
	/* follow the chain */
	do
	:: atomic {
		/* the next cell, or the next even one, or the next segment */
		got = 0;
		if
		:: at_cell == NOWHERE -> j = 0
		:: else -> j = at_cell + 1
		fi;
		if :: j < CELLS && named[SEG(j)] -> follows(j) :: else fi;
		if
		:: !got && at_cell != NOWHERE && j % 2 == 1 ->
			j++;
			if :: j < CELLS && named[SEG(j)] -> follows(j) :: else fi
		:: else
		fi;
		if
		:: !got && at_cell != NOWHERE ->
			j = (SEG(at_cell) + 1) * SLOTS;
			if :: j < CELLS && named[SEG(j)] -> follows(j) :: else fi
		:: else
		fi;
		if
		:: !got -> break
		:: else
		fi
	   };
	   atomic {
		/* a long replay commits now and then: where a later batch proves the earlier ones */
		if
		:: replayed && (of_batch[cache[j]] != at_batch || wrong == REPLAY_COMMITS_ANYWHERE) -> commit_index()
		:: skip
		fi;
		d_step {
			if :: of_batch[cache[j]] != at_batch || start == NOWHERE -> start = j :: else fi;
			apply(cache[j], j);
			at_cell = j; at_last = cache[j]; at_batch = of_batch[at_last];
			complete = ends_batch[at_last];
			replayed = 1
		}
	   };
	   STOP_HERE
	od;
	skip;
	/* behind the break: a record of a later batch would be something promised that cannot be read */
	d_step {
		broken = at_batch + (complete -> 1 : 0);
		i = (at_cell == NOWHERE -> 0 : at_cell + 1);
		k = 0;
		do
		:: i < CELLS ->
			if
			:: named[SEG(i)] && cache[i] != 0 ->
				assert(whole_on_disk[SEG(i)]);
				assert(cache[i] == TORN || of_batch[cache[i]] <= broken);
				if :: at_cell != NOWHERE && SEG(i) == SEG(at_cell) -> k = 1 :: else fi
			:: else
			fi;
			i++
		:: else -> break
		od;
		i = 0
	};
	/* the last batch once more, zeros behind it, a flush */
	if
	:: at_cell != NOWHERE && (replayed || k) ->
		k = 0;
		if
		:: replayed && wrong != TAIL_NOT_WRITTEN_AGAIN ->
			j = start;
			do
			:: j <= at_cell -> write_cell(j, cache[j]); j++; STOP_HERE
			:: else -> break
			od
		:: else
		fi;
		j = at_cell + 1;
		do
		:: j < (SEG(at_cell) + 1) * SLOTS ->
			if :: cache[j] != 0 || disk[j] != 0 -> write_cell(j, 0); STOP_HERE :: else fi;
			j++
		:: else -> break
		od;
		if
		:: wrong != NO_RECOVERY_FLUSH -> flush_log()
		:: else
		fi;
		if
		:: failed -> goto read_only
		:: else
		fi
	:: else -> k = 0
	fi;
	STOP_HERE;
	/* later segments hold nothing; a clean one is the next */
	d_step {
		j = (at_cell == NOWHERE -> 0 : SEG(at_cell) + 1);
		k = 0
	};
	do
	:: j < SEGMENTS ->
		atomic {
			d_step {
				clean_next = (at_cell == NOWHERE -> j == 0 : j == SEG(at_cell) + 1);
				i = 0;
				do
				:: i < SLOTS -> clean_next = clean_next && cache[j * SLOTS + i] == 0; i++
				:: else -> break
				od;
				i = 0
			};
			if
			:: named[j] && !clean_next ->
				named[j] = 0;
				if :: named_on_disk[j] = 0 :: skip fi
			:: else
			fi;
			j++
		};
		STOP_HERE
	:: else -> break
	od;
	skip;
	d_step {
		j = 0; clean_next = 0;
		/* whoever made a segment may have been killed before its name was safe */
		do
		:: i < SEGMENTS && wrong != NO_START_FOLDER_FLUSH -> named_on_disk[i] = named[i]; i++
		:: else -> break
		od;
		i = 0
	};
	STOP_HERE;
	if
	:: replayed -> commit_index()
	:: else
	fi;
	d_step {
		start = 0; broken = 0; replayed = 0; complete = 0; k = 0; got = 0; j = 0; i = 0
	};
	sweep();
	check();

serve:
	do
	/* a batch of one or two: deliveries, first or repeated with the same call */
	:: atomic { WANTS(0) && (blob == 4 || live.count[0]) -> add(0, 0) }; goto run_batch
	:: atomic { WANTS(1) -> add(1, 0) }; goto run_batch
	:: atomic { WANTS(2) && told[1] != NEW -> add(2, 0) }; goto run_batch /* 1 and 2 are alike: 1 is first */
	:: atomic { WANTS(1) && WANTS(2) -> add(1, 0); add(2, 0) }; goto run_batch
	/* compaction: the bodies of a full segment go to the end of the log */
	:: atomic {
		MORE && at_cell != NOWHERE && SEG(at_cell) > 0 && (LIVES(0) || LIVES(1) || LIVES(2)) ->
		do
		:: i < MESSAGES -> if :: LIVES(i) && batch_n < 2 -> add(i, 1) :: else fi; i++
		:: else -> break
		od;
		i = 0
	   };
	   goto run_batch
	/* the worker makes the blob, and then its request may join a batch */
	:: WANTS(WITH_BLOB) && live.count[WITH_BLOB] == 0 && blob < 4 ->
		atomic {
			if
			:: blob == 0 -> if :: blob_content = 1 :: skip fi
			:: blob == 1 ->
				if
				:: faults < FAULTS -> faults++; told[WITH_BLOB] = REFUSED; blob_content = 0
				:: wrong == NO_BLOB_FLUSH
				:: wrong != NO_BLOB_FLUSH -> blob_content = 1
				fi
			:: blob == 2 -> if :: blob_name = 1 :: skip fi
			:: blob == 3 -> if :: wrong != NO_BLOB_FOLDER_FLUSH -> blob_name = 1 :: else fi
			fi;
			blob = (told[WITH_BLOB] == REFUSED -> 0 : blob + 1)
		};
		STOP_HERE
	/* the transaction that lazy deliveries left open */
	:: MORE && behind -> commit_index(); STOP_HERE
	/* a checkpoint: the write-ahead log is flushed, copied, and the main file is flushed */
	:: atomic {
		MORE && !behind && committed.cell != NOWHERE;
		d_step {
			if
			:: wrong != NO_CHECKPOINT_FLUSH -> copy_index(on_disk, committed)
			:: else
			fi;
			j = 0;
			do
			:: j < SEG(committed.cell) ->
				free_to_go[j] = 1;
				i = 0;
				do
				:: i < MESSAGES ->
					if
					:: committed.count[i] && committed.place[i] != IN_BLOB && SEG(committed.place[i]) == j -> free_to_go[j] = 0
					:: else
					fi;
					i++
				:: else -> break
				od;
				j++
			:: else -> break
			od;
			i = 0; j = 0
		}
	   }
	/* the segment that holds nothing is removed */
	:: atomic {
		named[0] && (free_to_go[0] || wrong == REMOVE_BEFORE_CHECKPOINT && at_cell != NOWHERE && SEG(at_cell) > 0 &&
			!LIVES(0) && !LIVES(1) && !LIVES(2));
		named[0] = 0;
		free_to_go[0] = 0;
		if :: named_on_disk[0] = 0 :: skip fi;
		d_step { check_bodies() }
	   };
	   STOP_HERE
	:: told[0] != NEW && told[1] != NEW && told[2] != NEW -> goto done
	od;

run_batch:
	batch_begin();
	if
	:: start == NOWHERE -> atomic { d_step { start = 0; batch_n = 0; batch_moves = 0; batch_of[0] = 0; batch_of[1] = 0 }; goto serve }
	:: else
	fi;
	/* a call that has been done is answered as before, without a record */
	atomic {
		if
		:: batch_n == 2 && DONE(1) -> told[batch_of[1]] = ACKNOWLEDGED; batch_n = 1
		:: else
		fi;
		if
		:: DONE(0) -> told[batch_of[0]] = ACKNOWLEDGED; batch_of[0] = batch_of[1]; batch_n--
		:: else
		fi
	};
	if
	:: batch_n == 0 -> atomic { d_step { start = 0; batch_of[0] = 0; batch_of[1] = 0 }; goto serve }
	:: else
	fi;
	seal_batch();
	j = 0;
	do
	:: j < batch_n ->
		write_cell(start + j, made - batch_n + 1 + j);
		if
		:: wrong == SECTOR_SHARED_BY_BATCHES && start > 0 && at_cell == start - 1 -> disk[at_cell] = TORN; dirty[at_cell] = 1
		:: wrong != SECTOR_SHARED_BY_BATCHES
		:: wrong == SECTOR_SHARED_BY_BATCHES
		fi;
		j++;
		STOP_HERE
	:: else -> break
	od;
	j = 0;
	if
	:: wrong == ANSWER_BEFORE_FLUSH -> answer_batch(); STOP_HERE
	:: wrong == COMMIT_BEFORE_FLUSH -> log_stands(); commit_index(); STOP_HERE
	:: else
	fi;
	if
	:: wrong != NO_LOG_FLUSH -> flush_log()
	:: else
	fi;
	if
	:: failed && wrong == FLUSH_TRIED_AGAIN -> failed = 0 /* nothing is dirty: this flush succeeds */
	:: else
	fi;
	if
	:: failed -> goto killed /* unanswered */
	:: else
	fi;
	STOP_HERE;
	if
	:: wrong != COMMIT_BEFORE_FLUSH -> log_stands()
	:: else
	fi;
	/* lazy, or not */
	if
	:: !batch_moves -> behind = 1
	:: commit_index()
	fi;
	STOP_HERE;
	answer_batch();
	d_step { batch_n = 0; batch_moves = 0; batch_of[0] = 0; batch_of[1] = 0; start = 0 };
	goto serve;

/* It shows what was committed; the operator starts it again. */
read_only:
	if
	:: wrong == COMMIT_THOUGH_NOT_REPAIRED -> commit_index()
	:: else
	fi;
	STOP_HERE;
	goto killed;

done:
	skip;
	check()
}
