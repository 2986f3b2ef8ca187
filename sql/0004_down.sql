-- From version 4 back to version 3, for who goes back to the program before.

DROP INDEX queue_message_arrived;
DROP INDEX queue_rcpt_message;
CREATE INDEX queue_rcpt_message ON queue_rcpt (message);
DROP TABLE queue_domain;
ALTER TABLE mailbox DROP COLUMN former;
ALTER TABLE account DROP COLUMN former;
DROP INDEX body_damaged;
ALTER TABLE body DROP COLUMN damaged;
ALTER TABLE body DROP COLUMN carried;
UPDATE body SET segment = 0, place = 0 WHERE blob IS NOT NULL;
DROP TABLE segment;
