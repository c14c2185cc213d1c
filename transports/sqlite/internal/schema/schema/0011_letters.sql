-- Dead letters are found by their subscription, and by when they became dead, however many others there are.
CREATE INDEX dead_letters_subscription ON dead_letters (subscription, status);
CREATE INDEX dead_letters_dead_at ON dead_letters (dead_at);
