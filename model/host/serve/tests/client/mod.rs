//! A small client of our own, that speaks the wire and insists.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::{collections::HashMap, time::Duration};

use bytes::Bytes;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use trial_model::{
    log::{
        batch::{Batch, ProducerStamp},
        codec::BatchBuilder,
    },
    protocol::{
        ErrorCode, PartitionRef, Request, Response, TopicRef,
        fetch::{FetchRequest, PartitionFetch},
        metadata::{MetadataRequest, MetadataResponse},
        produce::{Acks, PartitionProduce, ProduceRequest},
        topics::{CreateTopicsRequest, NewTopic},
    },
    time::Timestamp,
    units::{NodeId, Offset},
};
use trial_serve::Layout;
use trial_wire::{Book, FetchSession, read_response, write_request};

pub type Error = Box<dyn std::error::Error + Send + Sync>;
pub type Tested<T = ()> = Result<T, Error>;

/// For how long it insists.
const PATIENCE: Duration = Duration::from_secs(60);
const REST: Duration = Duration::from_millis(50);

/// A cluster where nobody waits nine seconds for a dead leader's successor.
pub fn brisk(brokers: u32, controllers: u32) -> Layout {
    let mut layout = Layout::of(brokers, controllers);
    for broker in layout.brokers.values_mut() {
        broker.broker_heartbeat_interval_ms = Duration::from_millis(100);
        broker.broker_session_timeout_ms = Duration::from_millis(1_000);
    }
    for controller in layout.controllers.values_mut() {
        controller.broker_session_timeout_ms = Duration::from_millis(1_000);
    }
    layout
}

pub fn batch(values: &[&str]) -> Batch {
    stamped(values, None)
}

pub fn stamped(values: &[&str], stamp: Option<ProducerStamp>) -> Batch {
    let mut batch = BatchBuilder::new();
    if let Some(stamp) = stamp {
        batch.producer(stamp);
    }
    for value in values {
        batch.push(Timestamp(1_700_000_000_000), None, Some(value.as_bytes()), &[]);
    }
    batch.build()
}

/// The values of a batch's records.
pub fn values(batch: &Batch) -> Vec<String> {
    let records = batch.decode_records().map_while(Result::ok);
    records.map(|record| String::from_utf8_lossy(&record.value.unwrap_or_default()).into_owned()).collect()
}

pub struct Client {
    /// Of all brokers, in order.
    addresses: Vec<String>,
    /// Those that are asked when anybody will do.
    anybody: Vec<String>,
    streams: HashMap<String, TcpStream>,
    book: Book,
    next: i32,
}

impl Client {
    pub fn new(bootstrap: &str) -> Client {
        Client::by_number(bootstrap, bootstrap)
    }

    /// One that asks only some of the brokers about the cluster.
    pub fn by_number(all: &str, some: &str) -> Client {
        let [addresses, anybody] = [all, some].map(|text| text.split(',').map(str::to_owned).collect());
        Client { addresses, anybody, streams: HashMap::new(), book: Book::default(), next: 0 }
    }

    /// The address of a broker: they are listed in order.
    fn address(&self, broker: NodeId) -> Tested<String> {
        let nth = (broker.nth() as usize).checked_sub(1).ok_or("brokers count from one")?;
        Ok(self.addresses.get(nth).ok_or("an unknown broker")?.clone())
    }

    /// Asks once. Whatever goes wrong, the connection is given up.
    pub async fn ask(&mut self, address: &str, request: &Request) -> Tested<Response> {
        let asked = tokio::time::timeout(Duration::from_secs(5), self.ask_patiently(address, request)).await;
        let outcome = asked.unwrap_or_else(|late| Err(late.into()));
        if outcome.is_err() {
            self.streams.remove(address);
        }
        outcome
    }

    async fn ask_patiently(&mut self, address: &str, request: &Request) -> Tested<Response> {
        if !self.streams.contains_key(address) {
            self.streams.insert(address.to_owned(), TcpStream::connect(address).await?);
        }
        let stream = self.streams.get_mut(address).ok_or("it was connected")?;
        self.next += 1;
        let mut session = FetchSession::default();
        let version = if matches!(request, Request::Fetch(_)) { Some(12) } else { None };
        let (frame, mut call) =
            write_request(NodeId::client(1), self.next, request, version, &mut session, &self.book)?;
        stream.write_all(&frame).await?;
        let size = stream.read_u32().await?;
        let mut answer = vec![0; size as usize];
        stream.read_exact(&mut answer).await?;
        Ok(read_response(&mut call, Bytes::from(answer), &mut session)?)
    }

    /// Asks anybody, until somebody answers.
    pub async fn ask_anybody(&mut self, request: &Request) -> Tested<Response> {
        let started = tokio::time::Instant::now();
        loop {
            for address in self.anybody.clone() {
                if let Ok(response) = self.ask(&address, request).await {
                    return Ok(response);
                }
            }
            if started.elapsed() > PATIENCE {
                return Err("nobody answers".into());
            }
            tokio::time::sleep(REST).await;
        }
    }

    pub async fn metadata(&mut self, topic: &str) -> Tested<MetadataResponse> {
        let topics = Some(vec![TopicRef::Name(topic.into())]);
        match self
            .ask_anybody(&Request::Metadata(MetadataRequest { topics, allow_auto_topic_creation: false }))
            .await?
        {
            Response::Metadata(response) => Ok(response),
            _ => Err("another answer".into()),
        }
    }

    /// Who leads a topic's first partition, once somebody does.
    pub async fn leader(&mut self, topic: &str) -> Tested<NodeId> {
        self.leader_of(topic, 1).await
    }

    /// Who leads a topic's first partition, once so many replicas of it are in sync.
    pub async fn leader_of(&mut self, topic: &str, in_sync: usize) -> Tested<NodeId> {
        let started = tokio::time::Instant::now();
        loop {
            let metadata = self.metadata(topic).await?;
            let partition = metadata.topics.first().and_then(|topic| topic.partitions.first());
            let partition = partition.filter(|partition| partition.isr.len() >= in_sync);
            if let Some(leader) = partition.and_then(|partition| partition.leader) {
                return Ok(leader);
            }
            if started.elapsed() > PATIENCE {
                return Err(format!("nobody leads: {metadata:?}").into());
            }
            tokio::time::sleep(REST).await;
        }
    }

    /// Creates a topic, and waits until it has a leader.
    pub async fn create_topic(&mut self, name: &str, partitions: u32, replication_factor: u16) -> Tested {
        let topic = NewTopic {
            name: name.into(),
            partitions,
            replication_factor,
            assignment: Vec::new(),
            config: Vec::new(),
        };
        let timeout = Duration::from_secs(5);
        let request = Request::CreateTopics(CreateTopicsRequest { topics: vec![topic], timeout });
        let started = tokio::time::Instant::now();
        loop {
            let Response::CreateTopics(response) = self.ask_anybody(&request).await? else {
                return Err("another answer".into());
            };
            match response.topics.first().ok_or("no answer")?.1 {
                Ok(_) | Err(ErrorCode::TopicAlreadyExists) => break,
                Err(error) if started.elapsed() > PATIENCE => return Err(error.name().into()),
                // Not every broker is registered yet.
                Err(_) => tokio::time::sleep(REST).await,
            }
        }
        self.leader(name).await.map(|_| ())
    }

    /// Asks the leader of a topic's first partition, until `done` says that the answer is one.
    async fn ask_leader<T>(
        &mut self,
        topic: &str,
        request: &Request,
        done: impl Fn(Response) -> Tested<Result<T, ErrorCode>>,
    ) -> Tested<T> {
        let started = tokio::time::Instant::now();
        loop {
            let leader = self.leader(topic).await?;
            let address = self.address(leader)?;
            let why = match self.ask(&address, request).await {
                Ok(response) => match done(response)? {
                    Ok(done) => return Ok(done),
                    Err(error) if !error.is_retriable() => return Err(error.name().into()),
                    Err(error) => error.name().to_owned(),
                },
                Err(error) => error.to_string(),
            };
            if started.elapsed() > PATIENCE {
                return Err(why.into());
            }
            tokio::time::sleep(REST).await;
        }
    }

    /// Appends a batch to a topic's first partition, and tells where it stands.
    pub async fn produce(&mut self, topic: &str, acks: Acks, batch: Batch) -> Tested<Offset> {
        let partition = PartitionRef { topic: TopicRef::Name(topic.into()), partition: 0 };
        let request = ProduceRequest {
            acks,
            timeout: Duration::from_secs(4),
            partitions: vec![PartitionProduce { partition, batch }],
        };
        let done = |response| match response {
            Response::Produce(response) => {
                let told = response.partitions.into_iter().next().ok_or("no answer")?;
                Ok(told.result.map(|produced| produced.base_offset))
            }
            _ => Err("another answer".into()),
        };
        self.ask_leader(topic, &Request::Produce(request), done).await
    }

    /// The values of all records of a topic's first partition, below the high watermark of now.
    pub async fn read_all(&mut self, topic: &str) -> Tested<Vec<String>> {
        let mut read = Vec::new();
        let mut at = Offset(0);
        loop {
            let fetch = PartitionFetch {
                partition: PartitionRef { topic: TopicRef::Name(topic.into()), partition: 0 },
                current_leader_epoch: None,
                fetch_offset: at,
                last_fetched_epoch: None,
                log_start: None,
                max_bytes: 1 << 20,
            };
            let request = Request::Fetch(FetchRequest {
                replica: None,
                max_wait: Duration::from_millis(100),
                min_bytes: 1,
                max_bytes: 1 << 20,
                partitions: vec![fetch],
                incremental: false,
                forgotten: Vec::new(),
            });
            let done = |response| match response {
                Response::Fetch(response) => {
                    let told = response.partitions.into_iter().next().ok_or("no answer")?;
                    Ok(told.error.map_or(Ok((told.batches, told.high_watermark)), Err))
                }
                _ => Err("another answer".into()),
            };
            let (batches, high_watermark) = self.ask_leader(topic, &request, done).await?;
            for batch in &batches {
                read.extend(values(batch));
                at = batch.end_offset();
            }
            if at >= high_watermark {
                return Ok(read);
            }
        }
    }
}
