extension WebFile {
    /// `clients/js/client-shared.js`, put here by `make web`.
    static let sharedClientScript = WebFile("text/javascript; charset=utf-8", tag: "704b45b6a7c1eb086f08") {
        #"""

        import{connect as connectAlone}from"./client.js";
        export function connect(url,options){if(typeof url!=="string"&&!(url instanceof URL))[url,options]=[new URL(".",import.meta.url),url];
        if(!globalThis.SharedWorker||!navigator.locks)return connectAlone(url,options);
        const name=JSON.stringify([new URL(url,location.href).href,Boolean(options?.token)]);
        return connectAlone(url,{...options,WebSocket:PortSocket.bind(undefined,name)});
        }
        function PortSocket(name){const{port}=new SharedWorker(import.meta.url,{type:"module",name});
        const lock=`broker ${Math.random()}`;
        let release;
        navigator.locks.request(lock,()=>{port.postMessage({op:"hello",lock});
        return new Promise((done)=>(release=done));
        });
        port.onmessage=({data})=>(data.op==="close"?this.onclose(data):this.onmessage({data}));
        this.send=(text)=>port.postMessage(JSON.parse(text));
        this.close=()=>{port.postMessage({op:"bye"});
        release?.();
        port.close();
        };
        }
        if(globalThis.SharedWorkerGlobalScope&&globalThis instanceof SharedWorkerGlobalScope){const[url,hasToken]=JSON.parse(self.name);
        const tabs=new Set();
        let token,isAsked,broker;
        const everyone=(object)=>tabs.forEach((tab)=>tab.say(object));
        const welcome=(tab)=>tab.say({op:"welcome",client:broker.client,epoch:broker.epoch,keepalive:25});
        const ask=()=>new Promise((resolve)=>{isAsked=(found)=>((token=undefined),resolve(found));
        if(token)isAsked(token);
        else everyone({op:"expiring"});
        });
        const open=()=>{broker=connectAlone(url,hasToken?{token:ask}:{});
        let wasOpen=false;
        broker.addEventListener("status",({status,code,reason})=>{if(status==="open")tabs.forEach(wasOpen||hasToken?(tab)=>tab.say({op:"restored"}):welcome);
        wasOpen||=status==="open";
        if(status!=="closed")return;
        everyone({op:"close",code,reason});
        tabs.clear();
        broker=undefined;
        });
        };
        self.onconnect=({ports:[port]})=>{const subscriptions=new Map(),shown=new Set();
        const tab={say:(object)=>port.postMessage(object)};
        const leave=()=>{for(const one of subscriptions.values())one.close();
        for(const topic of shown)broker?.publish(topic,"",{retain:true}).catch(()=>{});
        subscriptions.clear();
        shown.clear();
        tabs.delete(tab);
        };
        const answer=(id,promise,op)=>promise.then((found)=>tab.say({...found,op,id}),({code,message})=>tab.say({op:"error",id,code,message}));
        const verbs={hello({lock}){tabs.add(tab);
        if(!broker)open();
        if(hasToken||broker.status==="open")welcome(tab);
        navigator.locks.request(lock,leave);
        },bye:leave,ping:()=>tab.say({op:"pong"}),authenticate({id,op,...found}){token=found;
        isAsked?.(found);
        tab.say({op:"ok",id});
        },subscribe({id,op,filter:all,...options}){for(const filter of[all].flat()){const old=subscriptions.get(filter);
        const one=broker.subscribe(filter,(message)=>tab.say({...message,op:"message"}),{...options,onbegin:(seq)=>tab.say({op:"ok",id,seq}),onlive:(seq)=>tab.say({op:"live",filter,seq}),ongap:(gap)=>tab.say({...gap,op:"gap"}),onerror:({code,message})=>tab.say(one&&one.isLive?{op:"revoked",filter,message}:{op:"error",id,code,message}),});
        one.ready.then(()=>((one.isLive=true),old?.close()),()=>old?.close());
        subscriptions.set(filter,one);
        }
        },unsubscribe({filter}){subscriptions.get(filter)?.close();
        subscriptions.delete(filter);
        },publish({id,op,topic,data,reply,...options}){if(options.ephemeral)shown.add(topic);
        if(reply)answer(id,broker.request(topic,data,options),"reply");
        else answer(id,broker.publish(topic,data,options),"ok");
        },};
        port.onmessage=({data})=>verbs[data.op]?.(data);
        };
        }

        """#
    }
}
