-- Over which carrier the events of this journal were last sent. Those of another one have not been sent anything.
ALTER TABLE identity ADD COLUMN carrier TEXT NOT NULL DEFAULT '';
