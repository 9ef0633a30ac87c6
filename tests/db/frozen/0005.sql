BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0005');
CREATE TABLE artifacts (
	digest TEXT NOT NULL, 
	size BIGINT NOT NULL, 
	media_type TEXT NOT NULL, 
	CONSTRAINT pk_artifacts PRIMARY KEY (digest)
);
CREATE TABLE attempts (
	id INTEGER NOT NULL, 
	evaluation_id INTEGER NOT NULL, 
	number INTEGER NOT NULL, 
	token TEXT NOT NULL, 
	worker TEXT NOT NULL, 
	host TEXT NOT NULL, 
	pid BIGINT, 
	state TEXT NOT NULL, 
	exit_class TEXT, 
	message TEXT, 
	claimed_at DATETIME NOT NULL, 
	started_at DATETIME, 
	lease_expires_at DATETIME NOT NULL, 
	ended_at DATETIME, 
	wait_seconds DOUBLE, 
	held_seconds DOUBLE, 
	wall_seconds DOUBLE, 
	cpu_seconds DOUBLE, 
	max_rss BIGINT, 
	cost DOUBLE NOT NULL, 
	stdout TEXT NOT NULL, 
	stderr TEXT NOT NULL, 
	label_id INTEGER, 
	CONSTRAINT pk_attempts PRIMARY KEY (id), 
	CONSTRAINT ck_attempts_done_has_label CHECK ((state = 'done') = (label_id IS NOT NULL)), 
	CONSTRAINT ck_attempts_state CHECK (state IN ('running', 'done', 'failed', 'lost', 'cancelled')), 
	CONSTRAINT fk_attempts_evaluation_id FOREIGN KEY(evaluation_id) REFERENCES evaluations (id), 
	CONSTRAINT fk_attempts_label_id FOREIGN KEY(label_id) REFERENCES labels (id), 
	CONSTRAINT uq_attempts_evaluation_id_number UNIQUE (evaluation_id, number), 
	CONSTRAINT uq_attempts_label_id UNIQUE (label_id), 
	CONSTRAINT uq_attempts_token UNIQUE (token)
);
INSERT INTO "attempts" VALUES(1,1,1,'c619f7ea0fe28d26227cda40e04e2146','w','node',2,'done','ok',NULL,'2026-11-28 21:33:51.144000',NULL,'2026-11-28 21:34:51.144000','2026-11-28 21:33:51.214000',4.20033931732177734375e-02,7.00056552886962890625e-02,1.0,0.0,NULL,1.0,'','',1);
INSERT INTO "attempts" VALUES(2,2,1,'7d57c91a98c99f0664cd0a07d739bc06','w','',NULL,'failed','not converged','no minimum','2026-11-28 21:33:51.144000',NULL,'2026-11-28 21:34:51.144000','2026-11-28 21:33:51.224000',4.20033931732177734375e-02,7.99834728240966796875e-02,0.0,0.0,NULL,0.0,'','',NULL);
INSERT INTO "attempts" VALUES(3,3,1,'a9e2db8c92ee11ec70ee058f9743337a','w','',NULL,'failed','timeout','600 s','2026-11-28 21:33:51.144000',NULL,'2026-11-28 21:34:51.144000','2026-11-28 21:33:51.234000',4.09975647926330566406e-02,9.00015234947204589843e-02,0.0,0.0,NULL,0.0,'','',NULL);
INSERT INTO "attempts" VALUES(4,4,1,'815ee518d746cdb9d903606e99dd7f26','w','',NULL,'running',NULL,NULL,'2026-11-28 21:33:51.144000',NULL,'2026-11-28 21:34:51.144000',NULL,4.09975647926330566406e-02,NULL,NULL,NULL,NULL,0.0,'','',NULL);
CREATE TABLE campaigns (
	id INTEGER NOT NULL, 
	name TEXT NOT NULL, 
	goal TEXT NOT NULL, 
	state TEXT NOT NULL, 
	spec JSON NOT NULL, 
	seed BIGINT NOT NULL, 
	created_at DATETIME NOT NULL, 
	stop_reason TEXT, 
	stop_requested TEXT, 
	control_of_id INTEGER, 
	CONSTRAINT pk_campaigns PRIMARY KEY (id), 
	CONSTRAINT ck_campaigns_state CHECK (state IN ('created', 'running', 'paused', 'finished', 'failed')), 
	CONSTRAINT ck_campaigns_stop_requested CHECK (stop_requested IS NULL OR stop_requested IN ('drain', 'cancel')), 
	CONSTRAINT fk_campaigns_control_of_id FOREIGN KEY(control_of_id) REFERENCES campaigns (id), 
	CONSTRAINT uq_campaigns_name UNIQUE (name)
);
INSERT INTO "campaigns" VALUES(1,'frozen','optimize','paused','{"question": {"maximize": "y"}}',7,'2026-11-28 21:33:51.020000','frozen',NULL,NULL);
CREATE TABLE candidate_values (
	candidate_id INTEGER NOT NULL, 
	name TEXT NOT NULL, 
	number DOUBLE, 
	text TEXT, 
	CONSTRAINT pk_candidate_values PRIMARY KEY (candidate_id, name), 
	CONSTRAINT fk_candidate_values_candidate_id FOREIGN KEY(candidate_id) REFERENCES candidates (id)
);
INSERT INTO "candidate_values" VALUES(1,'x',0.0,NULL);
INSERT INTO "candidate_values" VALUES(1,'base',NULL,'KOH');
INSERT INTO "candidate_values" VALUES(2,'x',0.5,NULL);
INSERT INTO "candidate_values" VALUES(2,'base',NULL,'KOH');
INSERT INTO "candidate_values" VALUES(3,'x',1.0,NULL);
INSERT INTO "candidate_values" VALUES(3,'base',NULL,'KOH');
INSERT INTO "candidate_values" VALUES(4,'x',1.5,NULL);
INSERT INTO "candidate_values" VALUES(4,'base',NULL,'KOH');
INSERT INTO "candidate_values" VALUES(5,'x',2.0,NULL);
INSERT INTO "candidate_values" VALUES(5,'base',NULL,'KOH');
INSERT INTO "candidate_values" VALUES(6,'x',2.5,NULL);
INSERT INTO "candidate_values" VALUES(6,'base',NULL,'KOH');
CREATE TABLE candidates (
	id INTEGER NOT NULL, 
	hash TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	data JSON NOT NULL, 
	text TEXT NOT NULL, 
	CONSTRAINT pk_candidates PRIMARY KEY (id), 
	CONSTRAINT uq_candidates_hash UNIQUE (hash)
);
INSERT INTO "candidates" VALUES(1,'hash0','parameters','{"x": 0.0, "base": "KOH"}','x=0.0');
INSERT INTO "candidates" VALUES(2,'hash1','parameters','{"x": 0.5, "base": "KOH"}','x=0.5');
INSERT INTO "candidates" VALUES(3,'hash2','parameters','{"x": 1.0, "base": "KOH"}','x=1.0');
INSERT INTO "candidates" VALUES(4,'hash3','parameters','{"x": 1.5, "base": "KOH"}','x=1.5');
INSERT INTO "candidates" VALUES(5,'hash4','parameters','{"x": 2.0, "base": "KOH"}','x=2.0');
INSERT INTO "candidates" VALUES(6,'hash5','parameters','{"x": 2.5, "base": "KOH"}','x=2.5');
CREATE TABLE cards (
	id INTEGER NOT NULL, 
	campaign_id INTEGER NOT NULL, 
	kind TEXT NOT NULL, 
	model_version INTEGER, 
	data JSON NOT NULL, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_cards PRIMARY KEY (id), 
	CONSTRAINT fk_cards_campaign_id FOREIGN KEY(campaign_id) REFERENCES campaigns (id)
);
INSERT INTO "cards" VALUES(1,1,'sensitivities',1,'{"x": {"total": 1.0}}','2026-11-28 21:33:51.334000');
CREATE TABLE decision_offers (
	decision_id INTEGER NOT NULL, 
	proposer TEXT NOT NULL, 
	proposals INTEGER NOT NULL, 
	seconds DOUBLE NOT NULL, 
	share DOUBLE, 
	promise DOUBLE, 
	CONSTRAINT pk_decision_offers PRIMARY KEY (decision_id, proposer), 
	CONSTRAINT fk_decision_offers_decision_id FOREIGN KEY(decision_id) REFERENCES decisions (id)
);
INSERT INTO "decision_offers" VALUES(1,'sobol',32,0.25,0.5,0.125);
INSERT INTO "decision_offers" VALUES(1,'random',32,0.01,0.5,0.0);
INSERT INTO "decision_offers" VALUES(2,'sobol',32,0.25,0.5,0.125);
INSERT INTO "decision_offers" VALUES(2,'random',32,0.01,0.5,0.0);
INSERT INTO "decision_offers" VALUES(3,'sobol',32,0.25,0.5,0.125);
INSERT INTO "decision_offers" VALUES(3,'random',32,0.01,0.5,0.0);
INSERT INTO "decision_offers" VALUES(4,'sobol',32,0.25,0.5,0.125);
INSERT INTO "decision_offers" VALUES(4,'random',32,0.01,0.5,0.0);
INSERT INTO "decision_offers" VALUES(5,'sobol',32,0.25,0.5,0.125);
INSERT INTO "decision_offers" VALUES(5,'random',32,0.01,0.5,0.0);
INSERT INTO "decision_offers" VALUES(6,'sobol',32,0.25,0.5,0.125);
INSERT INTO "decision_offers" VALUES(6,'random',32,0.01,0.5,0.0);
CREATE TABLE decision_parents (
	decision_id INTEGER NOT NULL, 
	position INTEGER NOT NULL, 
	child TEXT NOT NULL, 
	parent TEXT NOT NULL, 
	CONSTRAINT pk_decision_parents PRIMARY KEY (decision_id, position), 
	CONSTRAINT fk_decision_parents_decision_id FOREIGN KEY(decision_id) REFERENCES decisions (id)
);
INSERT INTO "decision_parents" VALUES(1,0,'x=0.0','x=-1');
INSERT INTO "decision_parents" VALUES(1,1,'x=0.0','x=-2');
INSERT INTO "decision_parents" VALUES(2,0,'x=0.5','x=-1');
INSERT INTO "decision_parents" VALUES(2,1,'x=0.5','x=-2');
INSERT INTO "decision_parents" VALUES(3,0,'x=1.0','x=-1');
INSERT INTO "decision_parents" VALUES(3,1,'x=1.0','x=-2');
INSERT INTO "decision_parents" VALUES(4,0,'x=1.5','x=-1');
INSERT INTO "decision_parents" VALUES(4,1,'x=1.5','x=-2');
INSERT INTO "decision_parents" VALUES(5,0,'x=2.0','x=-1');
INSERT INTO "decision_parents" VALUES(5,1,'x=2.0','x=-2');
INSERT INTO "decision_parents" VALUES(6,0,'x=2.5','x=-1');
INSERT INTO "decision_parents" VALUES(6,1,'x=2.5','x=-2');
CREATE TABLE decision_predictions (
	decision_id INTEGER NOT NULL, 
	output TEXT NOT NULL, 
	mean DOUBLE, 
	std DOUBLE, tail DOUBLE, 
	CONSTRAINT pk_decision_predictions PRIMARY KEY (decision_id, output), 
	CONSTRAINT fk_decision_predictions_decision_id FOREIGN KEY(decision_id) REFERENCES decisions (id)
);
INSERT INTO "decision_predictions" VALUES(1,'y',0.2,0.05,NULL);
INSERT INTO "decision_predictions" VALUES(2,'y',0.2,0.05,NULL);
INSERT INTO "decision_predictions" VALUES(3,'y',0.2,0.05,NULL);
INSERT INTO "decision_predictions" VALUES(4,'y',0.2,0.05,NULL);
INSERT INTO "decision_predictions" VALUES(5,'y',0.2,0.05,NULL);
INSERT INTO "decision_predictions" VALUES(6,'y',0.2,0.05,NULL);
CREATE TABLE decisions (
	id INTEGER NOT NULL, 
	evaluation_id INTEGER NOT NULL, 
	proposer TEXT NOT NULL, 
	acquisition TEXT NOT NULL, 
	acquisition_value DOUBLE, 
	model_version INTEGER, 
	seconds DOUBLE NOT NULL, 
	reason TEXT NOT NULL, 
	decided_at DATETIME NOT NULL, 
	CONSTRAINT pk_decisions PRIMARY KEY (id), 
	CONSTRAINT fk_decisions_evaluation_id FOREIGN KEY(evaluation_id) REFERENCES evaluations (id), 
	CONSTRAINT uq_decisions_evaluation_id UNIQUE (evaluation_id)
);
INSERT INTO "decisions" VALUES(1,1,'sobol','ei',0.5,1,0.0,'','2026-11-28 21:33:51.105000');
INSERT INTO "decisions" VALUES(2,2,'sobol','ei',0.5,1,0.0,'','2026-11-28 21:33:51.105000');
INSERT INTO "decisions" VALUES(3,3,'sobol','ei',0.5,1,0.0,'','2026-11-28 21:33:51.105000');
INSERT INTO "decisions" VALUES(4,4,'sobol','ei',0.5,1,0.0,'','2026-11-28 21:33:51.105000');
INSERT INTO "decisions" VALUES(5,5,'sobol','ei',0.5,1,0.0,'','2026-11-28 21:33:51.105000');
INSERT INTO "decisions" VALUES(6,6,'sobol','ei',0.5,1,0.0,'','2026-11-28 21:33:51.105000');
CREATE TABLE evaluations (
	id INTEGER NOT NULL, 
	campaign_id INTEGER NOT NULL, 
	sequence INTEGER NOT NULL, 
	candidate_id INTEGER NOT NULL, 
	fidelity TEXT NOT NULL, 
	replicate INTEGER NOT NULL, 
	cache_key TEXT NOT NULL, 
	state TEXT NOT NULL, 
	priority INTEGER NOT NULL, 
	attempts INTEGER NOT NULL, 
	not_before DATETIME, 
	enqueued_at DATETIME NOT NULL, 
	ended_at DATETIME, 
	label_id INTEGER, 
	from_cache BOOLEAN NOT NULL, 
	failure_class TEXT, 
	message TEXT, 
	CONSTRAINT pk_evaluations PRIMARY KEY (id), 
	CONSTRAINT ck_evaluations_done_has_label CHECK ((state = 'done') = (label_id IS NOT NULL)), 
	CONSTRAINT ck_evaluations_state CHECK (state IN ('queued', 'running', 'done', 'failed', 'abandoned', 'cancelled')), 
	CONSTRAINT fk_evaluations_campaign_id FOREIGN KEY(campaign_id) REFERENCES campaigns (id), 
	CONSTRAINT fk_evaluations_candidate_id FOREIGN KEY(candidate_id) REFERENCES candidates (id), 
	CONSTRAINT fk_evaluations_label_id FOREIGN KEY(label_id) REFERENCES labels (id), 
	CONSTRAINT uq_evaluations_campaign_id_candidate_id_fidelity_replicate UNIQUE (campaign_id, candidate_id, fidelity, replicate), 
	CONSTRAINT uq_evaluations_campaign_id_sequence UNIQUE (campaign_id, sequence)
);
INSERT INTO "evaluations" VALUES(1,1,1,1,'high',0,'oracle/1/hash0/high','done',0,1,NULL,'2026-11-28 21:33:51.102000','2026-11-28 21:33:51.221000',1,0,NULL,NULL);
INSERT INTO "evaluations" VALUES(2,1,2,2,'high',0,'oracle/1/hash1/high','abandoned',0,1,NULL,'2026-11-28 21:33:51.102000','2026-11-28 21:33:51.226000',NULL,0,'not converged','no minimum');
INSERT INTO "evaluations" VALUES(3,1,3,3,'high',0,'oracle/1/hash2/high','failed',0,1,'2026-11-28 21:33:51.235000','2026-11-28 21:33:51.103000',NULL,NULL,0,'timeout','600 s');
INSERT INTO "evaluations" VALUES(4,1,4,4,'high',0,'oracle/1/hash3/high','running',0,1,NULL,'2026-11-28 21:33:51.103000',NULL,NULL,0,NULL,NULL);
INSERT INTO "evaluations" VALUES(5,1,5,5,'high',0,'oracle/1/hash4/high','queued',0,0,NULL,'2026-11-28 21:33:51.103000',NULL,NULL,0,NULL,NULL);
INSERT INTO "evaluations" VALUES(6,1,6,6,'high',0,'oracle/1/hash5/high','cancelled',0,0,NULL,'2026-11-28 21:33:51.103000','2026-11-28 21:33:51.266000',NULL,0,NULL,NULL);
CREATE TABLE events (
	id INTEGER NOT NULL, 
	campaign_id INTEGER NOT NULL, 
	at DATETIME NOT NULL, 
	kind TEXT NOT NULL, 
	message TEXT NOT NULL, 
	data JSON, 
	CONSTRAINT pk_events PRIMARY KEY (id), 
	CONSTRAINT fk_events_campaign_id FOREIGN KEY(campaign_id) REFERENCES campaigns (id)
);
INSERT INTO "events" VALUES(1,1,'2026-11-28 21:33:51.325000','note','frozen','{"schema": "0005"}');
CREATE TABLE label_outputs (
	label_id INTEGER NOT NULL, 
	output TEXT NOT NULL, 
	unit TEXT NOT NULL, 
	shape JSON NOT NULL, 
	digest TEXT, 
	CONSTRAINT pk_label_outputs PRIMARY KEY (label_id, output), 
	CONSTRAINT fk_label_outputs_digest FOREIGN KEY(digest) REFERENCES artifacts (digest), 
	CONSTRAINT fk_label_outputs_label_id FOREIGN KEY(label_id) REFERENCES labels (id)
);
INSERT INTO "label_outputs" VALUES(1,'y','eV','[]',NULL);
INSERT INTO "label_outputs" VALUES(1,'dipole','D','[3]',NULL);
CREATE TABLE label_values (
	label_id INTEGER NOT NULL, 
	output TEXT NOT NULL, 
	position INTEGER NOT NULL, 
	value DOUBLE NOT NULL, 
	CONSTRAINT pk_label_values PRIMARY KEY (label_id, output, position), 
	CONSTRAINT fk_label_values_label_id FOREIGN KEY(label_id) REFERENCES labels (id)
);
INSERT INTO "label_values" VALUES(1,'y',0,0.1);
INSERT INTO "label_values" VALUES(1,'dipole',0,1.0);
INSERT INTO "label_values" VALUES(1,'dipole',1,2.0);
INSERT INTO "label_values" VALUES(1,'dipole',2,3.0);
CREATE TABLE labels (
	id INTEGER NOT NULL, 
	candidate_id INTEGER NOT NULL, 
	fidelity TEXT NOT NULL, 
	cache_key TEXT NOT NULL, 
	oracle TEXT NOT NULL, 
	oracle_version TEXT NOT NULL, 
	cost DOUBLE NOT NULL, 
	details JSON NOT NULL, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_labels PRIMARY KEY (id), 
	CONSTRAINT fk_labels_candidate_id FOREIGN KEY(candidate_id) REFERENCES candidates (id)
);
INSERT INTO "labels" VALUES(1,1,'high','oracle/1/hash0/high','oracle','1.0',1.0,'{"code": "4.1"}','2026-11-28 21:33:51.184000');
CREATE TABLE model_checks (
	model_version_id INTEGER NOT NULL, 
	label_id INTEGER NOT NULL, 
	output TEXT NOT NULL, 
	mean DOUBLE, 
	std DOUBLE, 
	observed DOUBLE, tail DOUBLE, 
	CONSTRAINT pk_model_checks PRIMARY KEY (model_version_id, label_id, output), 
	CONSTRAINT fk_model_checks_label_id FOREIGN KEY(label_id) REFERENCES labels (id), 
	CONSTRAINT fk_model_checks_model_version_id FOREIGN KEY(model_version_id) REFERENCES model_versions (id)
);
INSERT INTO "model_checks" VALUES(1,1,'y',0.2,0.05,0.1,NULL);
CREATE TABLE model_scores (
	model_version_id INTEGER NOT NULL, 
	output TEXT NOT NULL, 
	metric TEXT NOT NULL, 
	value DOUBLE, 
	n INTEGER NOT NULL, 
	CONSTRAINT pk_model_scores PRIMARY KEY (model_version_id, output, metric), 
	CONSTRAINT fk_model_scores_model_version_id FOREIGN KEY(model_version_id) REFERENCES model_versions (id)
);
INSERT INTO "model_scores" VALUES(1,'y','rmse',0.1,1);
CREATE TABLE model_versions (
	id INTEGER NOT NULL, 
	campaign_id INTEGER NOT NULL, 
	number INTEGER NOT NULL, 
	surrogate TEXT NOT NULL, 
	n_labels INTEGER NOT NULL, 
	seed BIGINT NOT NULL, 
	fit_seconds DOUBLE NOT NULL, 
	fell_back BOOLEAN NOT NULL, 
	message TEXT NOT NULL, 
	hyperparameters JSON NOT NULL, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_model_versions PRIMARY KEY (id), 
	CONSTRAINT fk_model_versions_campaign_id FOREIGN KEY(campaign_id) REFERENCES campaigns (id), 
	CONSTRAINT uq_model_versions_campaign_id_number UNIQUE (campaign_id, number)
);
INSERT INTO "model_versions" VALUES(1,1,1,'gp',1,7,0.3,0,'','{}','2026-11-28 21:33:51.299000');
CREATE TABLE runs (
	id INTEGER NOT NULL, 
	campaign_id INTEGER NOT NULL, 
	host TEXT NOT NULL, 
	pid BIGINT NOT NULL, 
	token TEXT NOT NULL, 
	started_at DATETIME NOT NULL, 
	heartbeat_at DATETIME NOT NULL, 
	lease_expires_at DATETIME NOT NULL, 
	ended_at DATETIME, 
	end_reason TEXT, 
	seconds DOUBLE NOT NULL, 
	CONSTRAINT pk_runs PRIMARY KEY (id), 
	CONSTRAINT fk_runs_campaign_id FOREIGN KEY(campaign_id) REFERENCES campaigns (id), 
	CONSTRAINT uq_runs_token UNIQUE (token)
);
INSERT INTO "runs" VALUES(1,1,'laptop',1,'5d982b3628890f4b74d04e5e83a6b399','2026-11-28 21:33:51.058000','2026-11-28 21:33:51.398000','2026-11-28 21:34:21.058000','2026-11-28 21:33:51.399000','released',3.40010225772857666015e-01);
CREATE TABLE tallies (
	campaign_id INTEGER NOT NULL, 
	sequence INTEGER NOT NULL, 
	at DATETIME NOT NULL, 
	pending JSON NOT NULL, 
	counts JSON NOT NULL, 
	cost DOUBLE NOT NULL, 
	failures JSON NOT NULL, 
	ranking JSON NOT NULL, 
	best JSON NOT NULL, 
	CONSTRAINT pk_tallies PRIMARY KEY (campaign_id, sequence), 
	CONSTRAINT fk_tallies_campaign_id FOREIGN KEY(campaign_id) REFERENCES campaigns (id)
);
CREATE INDEX ix_events_campaign_id ON events (campaign_id);
CREATE INDEX ix_labels_cache_key ON labels (cache_key);
CREATE INDEX ix_runs_campaign_id ON runs (campaign_id);
CREATE UNIQUE INDEX uq_runs_one_owner ON runs (campaign_id) WHERE ended_at IS NULL;
CREATE INDEX ix_evaluations_campaign_id_state ON evaluations (campaign_id, state);
CREATE INDEX ix_evaluations_claimable ON evaluations (campaign_id, priority, sequence) WHERE state IN ('queued', 'failed');
CREATE INDEX ix_evaluations_label_id ON evaluations (label_id);
CREATE UNIQUE INDEX uq_attempts_one_running ON attempts (evaluation_id) WHERE state = 'running';
CREATE INDEX ix_evaluations_done ON evaluations (campaign_id, ended_at) WHERE state = 'done';
CREATE INDEX ix_cards_campaign_id_kind ON cards (campaign_id, kind);
CREATE VIEW labels_long AS 
SELECT c.name AS campaign, e.sequence AS sequence, k.text AS candidate, k.kind AS kind, e.fidelity AS fidelity,
       l.oracle AS oracle, l.oracle_version AS oracle_version, v.output AS output, v.position AS position,
       v.value AS value, o.unit AS unit, l.cost AS cost, e.from_cache AS from_cache, d.proposer AS proposer,
       l.created_at AS created_at, e.id AS evaluation_id, l.id AS label_id, k.hash AS candidate_hash
FROM evaluations e
JOIN campaigns c ON c.id = e.campaign_id
JOIN candidates k ON k.id = e.candidate_id
JOIN labels l ON l.id = e.label_id
JOIN label_outputs o ON o.label_id = l.id
JOIN label_values v ON v.label_id = o.label_id AND v.output = o.output
LEFT JOIN decisions d ON d.evaluation_id = e.id
WHERE e.state = 'done';
CREATE VIEW best AS 
SELECT campaign, output, fidelity, candidate, value, unit, sequence,
       ROW_NUMBER() OVER (PARTITION BY campaign, output, fidelity ORDER BY value ASC, sequence) AS rank_ascending,
       ROW_NUMBER() OVER (PARTITION BY campaign, output, fidelity ORDER BY value DESC, sequence) AS rank_descending
FROM labels_long
WHERE NOT EXISTS (
    SELECT 1 FROM label_values w
    WHERE w.label_id = labels_long.label_id AND w.output = labels_long.output AND w.position > 0
);
CREATE VIEW decisions_explained AS 
SELECT c.name AS campaign, e.sequence AS sequence, k.text AS candidate, e.fidelity AS fidelity, e.state AS state,
       d.proposer AS proposer, d.model_version AS model_version, d.acquisition AS acquisition,
       d.acquisition_value AS acquisition_value, p.output AS output, p.mean AS predicted_mean, p.std AS predicted_std,
       p.tail AS predicted_tail, v.value AS observed, (v.value - p.mean) / NULLIF(p.std, 0) AS error_in_std,
       d.seconds AS seconds, d.reason AS reason, d.decided_at AS decided_at, e.id AS evaluation_id
FROM decisions d
JOIN evaluations e ON e.id = d.evaluation_id
JOIN campaigns c ON c.id = e.campaign_id
JOIN candidates k ON k.id = e.candidate_id
LEFT JOIN decision_predictions p ON p.decision_id = d.id
LEFT JOIN label_values v ON v.label_id = e.label_id AND v.output = p.output AND v.position = 0;
CREATE VIEW failures AS 
SELECT c.name AS campaign, e.sequence AS sequence, k.text AS candidate, e.fidelity AS fidelity,
       a.exit_class AS failure_class, a.message AS message, a.number AS attempt, e.state AS evaluation_state,
       a.worker AS worker, a.host AS host, a.wall_seconds AS wall_seconds, a.stderr AS stderr_tail,
       a.ended_at AS ended_at, e.id AS evaluation_id
FROM attempts a
JOIN evaluations e ON e.id = a.evaluation_id
JOIN campaigns c ON c.id = e.campaign_id
JOIN candidates k ON k.id = e.candidate_id
WHERE a.state IN ('failed', 'lost');
CREATE VIEW utilisation AS 
SELECT c.name AS campaign, COUNT(*) AS attempts,
       SUM(CASE WHEN a.state = 'done' THEN 1 ELSE 0 END) AS done,
       SUM(CASE WHEN a.state IN ('failed', 'lost') THEN 1 ELSE 0 END) AS failed,
       SUM(CASE WHEN a.state = 'running' THEN 1 ELSE 0 END) AS running,
       COALESCE(SUM(COALESCE(a.wall_seconds, a.held_seconds)), 0) AS busy_seconds,
       COALESCE(SUM(a.cpu_seconds), 0) AS cpu_seconds,
       COALESCE(SUM(a.held_seconds), 0) AS held_seconds,
       AVG(a.wait_seconds) AS mean_wait_seconds, SUM(a.cost) AS cost,
       MIN(COALESCE(a.started_at, a.claimed_at)) AS first_start, MAX(a.ended_at) AS last_finish
FROM attempts a
JOIN evaluations e ON e.id = a.evaluation_id
JOIN campaigns c ON c.id = e.campaign_id
GROUP BY c.name;
CREATE VIEW proposers AS 
SELECT c.name AS campaign, n.proposer AS proposer, COALESCE(o.pools, 0) AS pools, o.proposals AS proposals,
       COALESCE(d.decisions, 0) AS decisions, COALESCE(d.labels, 0) AS labels, COALESCE(d.failed, 0) AS failed,
       o.mean_share AS mean_share, o.mean_promise AS mean_promise, o.seconds AS seconds,
       o.promised / NULLIF(o.promised_seconds, 0) AS promise_per_second
FROM (
    SELECT e.campaign_id AS campaign_id, d.proposer AS proposer
    FROM decisions d JOIN evaluations e ON e.id = d.evaluation_id
    UNION
    SELECT e.campaign_id AS campaign_id, o.proposer AS proposer
    FROM decision_offers o JOIN decisions d ON d.id = o.decision_id JOIN evaluations e ON e.id = d.evaluation_id
) n
JOIN campaigns c ON c.id = n.campaign_id
LEFT JOIN (
    SELECT e.campaign_id AS campaign_id, d.proposer AS proposer, COUNT(*) AS decisions,
           SUM(CASE WHEN e.state = 'done' THEN 1 ELSE 0 END) AS labels,
           SUM(CASE WHEN e.state = 'abandoned' THEN 1 ELSE 0 END) AS failed
    FROM decisions d JOIN evaluations e ON e.id = d.evaluation_id
    GROUP BY e.campaign_id, d.proposer
) d ON d.campaign_id = n.campaign_id AND d.proposer = n.proposer
LEFT JOIN (
    SELECT e.campaign_id AS campaign_id, o.proposer AS proposer, COUNT(*) AS pools, SUM(o.proposals) AS proposals,
           SUM(o.seconds) AS seconds, AVG(o.share) AS mean_share, AVG(o.promise) AS mean_promise,
           SUM(o.promise) AS promised,
           SUM(CASE WHEN o.promise IS NOT NULL THEN o.seconds ELSE 0 END) AS promised_seconds
    FROM decision_offers o JOIN decisions d ON d.id = o.decision_id JOIN evaluations e ON e.id = d.evaluation_id
    GROUP BY e.campaign_id, o.proposer
) o ON o.campaign_id = n.campaign_id AND o.proposer = n.proposer;
CREATE VIEW parents AS 
SELECT c.name AS campaign, e.sequence AS sequence, k.text AS candidate, d.proposer AS proposer, p.position AS position,
       p.child AS child, p.parent AS parent,
       CASE WHEN f.sequence < e.sequence THEN f.sequence END AS parent_sequence,
       e.id AS evaluation_id
FROM decision_parents p
JOIN decisions d ON d.id = p.decision_id
JOIN evaluations e ON e.id = d.evaluation_id
JOIN campaigns c ON c.id = e.campaign_id
JOIN candidates k ON k.id = e.candidate_id
LEFT JOIN (
    SELECT e.campaign_id AS campaign_id, k.text AS text, MIN(e.sequence) AS sequence
    FROM evaluations e JOIN candidates k ON k.id = e.candidate_id
    GROUP BY e.campaign_id, k.text
) f ON f.campaign_id = e.campaign_id AND f.text = p.parent;
CREATE VIEW "labels_wide_frozen" AS SELECT evaluations.sequence, candidates.text AS candidate, evaluations.fidelity, labels.cost, evaluations.from_cache, decisions.proposer, evaluations.id AS evaluation_id, labels.id AS label_id, (SELECT candidate_values.text 
FROM candidate_values 
WHERE candidate_values.candidate_id = evaluations.candidate_id AND candidate_values.name = 'base') AS "base", (SELECT candidate_values.number 
FROM candidate_values 
WHERE candidate_values.candidate_id = evaluations.candidate_id AND candidate_values.name = 'x') AS "x", max(CASE WHEN (label_values.output = 'dipole' AND label_values.position = 0) THEN label_values.value END) AS "dipole[0]", max(CASE WHEN (label_values.output = 'dipole' AND label_values.position = 1) THEN label_values.value END) AS "dipole[1]", max(CASE WHEN (label_values.output = 'dipole' AND label_values.position = 2) THEN label_values.value END) AS "dipole[2]", max(CASE WHEN (label_values.output = 'y' AND label_values.position = 0) THEN label_values.value END) AS "y" 
FROM evaluations JOIN candidates ON candidates.id = evaluations.candidate_id JOIN labels ON labels.id = evaluations.label_id JOIN label_outputs ON label_outputs.label_id = labels.id LEFT OUTER JOIN label_values ON label_values.label_id = label_outputs.label_id AND label_values.output = label_outputs.output LEFT OUTER JOIN decisions ON decisions.evaluation_id = evaluations.id 
WHERE evaluations.campaign_id = 1 GROUP BY evaluations.id, evaluations.candidate_id, evaluations.sequence, candidates.text, evaluations.fidelity, labels.cost, evaluations.from_cache, decisions.proposer, labels.id;
COMMIT;
